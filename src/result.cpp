#include "tyto/result.h"

#include "tyto/tyto.h"

namespace tyto {
inline namespace v1 {

Error::Error(ErrorCode code, std::string_view message) noexcept : code_(code) {
  try {
    text_ = std::make_shared<const std::string>(message);
  } catch (...) {
    // Out of memory: the code alone says enough.
  }
}

std::string_view Error::message() const noexcept {
  return text_ ? std::string_view(*text_) : name(code_);
}

std::string_view name(ErrorCode code) noexcept {
  static constexpr std::string_view kNames[] = {
      "ok",           "bad_file",      "unsupported", "limit",        "io",
      "no_memory",    "device_memory", "device_lost", "bad_argument", "busy",
      "poisoned",     "cancelled",     "mismatch",    "bad_grammar",  "bad_schema",
      "bad_template", "numeric",       "internal"};
  const auto index = static_cast<std::size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

Version version() noexcept { return {TYTO_VERSION}; }

}  // namespace v1
}  // namespace tyto
