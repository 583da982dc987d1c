// Result<T>: a value or an Error. Member names of std::expected (C++23), but always our own type,
// so that a library built as C++20 and an application built as C++23, with or without exceptions,
// agree on it.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#if defined(__cpp_exceptions)
#include <exception>
#endif

#include "tyto/export.h"

namespace tyto {
inline namespace v1 {

// What went wrong, for a program to act on. Values are fixed for ever; new ones go at the end.
enum class ErrorCode : unsigned char {
  ok,
  bad_file,       // the file contradicts itself or its format
  unsupported,    // a valid file or option that this build cannot serve
  limit,          // a documented limit was reached: context, cache, input size
  io,             // the operating system or the host's FileSource refused
  no_memory,      // host memory
  device_memory,  // accelerator memory
  device_lost,    // the accelerator stopped answering
  bad_argument,   // the caller's own mistake
  busy,           // another thread is using the object
  poisoned,       // an earlier failure left the object unusable; freeing it is safe
  cancelled,      // Cancel::request, or a progress callback that answered false
  mismatch,       // made for another model or version
  bad_grammar,
  bad_schema,
  bad_template,
  numeric,   // NaN, or no finite logit
  internal,  // a defect of tyto
};

// The fixed lower-case name of a code: "bad_file". For logs and JSON.
TYTO_EXPORT std::string_view name(ErrorCode code) noexcept;

// Why a call failed. Copying never fails, and reporting no_memory allocates nothing.
class TYTO_EXPORT Error {
 public:
  Error() noexcept = default;
  explicit Error(ErrorCode code) noexcept : code_(code) {}
  Error(ErrorCode code, std::string_view message) noexcept;  // no room for the text: the code alone

  ErrorCode code() const noexcept { return code_; }
  // Names the file, the tensor or key, what was found and what was expected. Lives as long as the
  // Error.
  std::string_view message() const noexcept;

 private:
  ErrorCode code_ = ErrorCode::ok;
  std::shared_ptr<const std::string> text_;
};

#if defined(__cpp_exceptions)
// What Result::value throws. Header-only on purpose: the library itself never throws it.
struct Exception : std::exception {
  explicit Exception(Error e) : error(std::move(e)), text(error.message()) {}
  const char* what() const noexcept override { return text.c_str(); }
  Error error;
  std::string text;
};
#endif

template <class T = std::monostate>
class Result;
template <class T>
inline constexpr bool kIsResult = false;
template <class T>
inline constexpr bool kIsResult<Result<T>> = true;

template <class T>
class [[nodiscard]] Result {
 public:
  Result() requires std::is_same_v<T, std::monostate>
  = default;  // only Result<> starts out good
  template <class U = T>
  requires(std::is_convertible_v<U, T> &&
           !kIsResult<std::remove_cvref_t<U>>)  // an inner Result is never a value
      Result(U&& value)
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }
  T& operator*() & noexcept { return *std::get_if<0>(&state_); }
  const T& operator*() const& noexcept { return *std::get_if<0>(&state_); }
  T&& operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
  T* operator->() noexcept { return std::get_if<0>(&state_); }
  const T* operator->() const noexcept { return std::get_if<0>(&state_); }
  const Error& error() const noexcept { return *std::get_if<1>(&state_); }  // only without a value

#if defined(__cpp_exceptions)
  // The value, or throws tyto::Exception. For main() and tests; where exceptions are off it does
  // not exist.
  T value() && {
    if (!has_value()) throw Exception(error());
    return std::move(**this);
  }
#endif

 private:
  std::variant<T, Error> state_;
};

}  // namespace v1
}  // namespace tyto
