// A new file that appears whole or not at all.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "src/file/packed_form.h"
#include "tyto/host.h"
#include "tyto/result.h"

namespace tyto::file {

// Written under a name of its own beside its path, and given that path by commit(), in place of
// what may be there. So several processes may write the same path at once, and one that reads it
// meets a whole file. Without commit() nothing remains; a process that is killed leaves a file
// whose name ends in ".part". Written and read from several threads.
class OutputFile : public FileSource, public ByteSink {
 public:
  // Of `bytes` bytes, which are zero until they are written. A disk without room for them is `io`.
  static Result<std::unique_ptr<OutputFile>> create(std::string_view utf8_path,
                                                    std::uint64_t bytes);
  virtual Result<> commit() = 0;  // after the content has reached the disk
};

}  // namespace tyto::file
