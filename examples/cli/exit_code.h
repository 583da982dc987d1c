// What the program's exit code says, to scripts and schedulers.
#pragma once
#include <string>

#include "tyto/result.h"

namespace cli {

enum ExitCode {
  kGood = 0,
  kUsage = 2,          // the command line is wrong
  kBadData = 65,       // a file or text is
  kBug = 70,           // we are
  kTemporary = 75,     // no memory, a busy device, a full disk: trying again may help
  kInterrupted = 130,  // Ctrl-C
};

int exit_code(tyto::ErrorCode code) noexcept;

// Thrown where the output cannot be written.
struct OutputError {
  std::string path;
  int error_number;  // errno
};

}  // namespace cli
