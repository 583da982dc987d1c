#include "examples/cli/exit_code.h"

namespace cli {

int exit_code(tyto::ErrorCode code) noexcept {
  using tyto::ErrorCode;
  switch (code) {
    case ErrorCode::ok:
      return kGood;
    case ErrorCode::bad_argument:
      return kUsage;
    case ErrorCode::no_memory:
    case ErrorCode::device_memory:
    case ErrorCode::device_lost:
    case ErrorCode::busy:
      return kTemporary;
    case ErrorCode::cancelled:
      return kInterrupted;
    case ErrorCode::poisoned:
    case ErrorCode::internal:
      return kBug;
    default:
      return kBadData;
  }
}

}  // namespace cli
