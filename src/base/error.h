// Building and passing on errors.
#pragma once
#include <fmt/core.h>

#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "tyto/result.h"

namespace tyto {

// An Error whose message is formatted by fmt. Out of memory while formatting: the code alone.
template <class... Args>
Error fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) noexcept {
  try {
    return Error(code, fmt::format(format, std::forward<Args>(args)...));
  } catch (...) {
    return Error(code);
  }
}

// Runs the body of a public call: an exception becomes an Error, so that none reaches the host.
template <class Body>
auto guarded(Body&& body) noexcept -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::no_memory);
  } catch (const std::exception& e) {
    return fail(ErrorCode::internal, "unexpected exception: {}", e.what());
  } catch (...) {
    return Error(ErrorCode::internal);
  }
}

}  // namespace tyto

// TYTO_TRY(call());          returns the call's error from the enclosing function, if it failed.
// TYTO_TRY(auto x, call());  the same, and otherwise declares x with the value.
#define TYTO_TRY(...) TYTO_TRY_PICK_(__VA_ARGS__, TYTO_TRY_VALUE_, TYTO_TRY_VOID_, )(__VA_ARGS__)
#define TYTO_TRY_PICK_(first, second, chosen, ...) chosen
#define TYTO_TRY_VOID_(call)                                                    \
  do {                                                                          \
    if (auto tyto_result_ = (call); !tyto_result_) return tyto_result_.error(); \
  } while (false)
#define TYTO_TRY_NAME2_(line) tyto_result_##line
#define TYTO_TRY_NAME_(line) TYTO_TRY_NAME2_(line)
#define TYTO_TRY_VALUE_(declaration, call)                                \
  auto TYTO_TRY_NAME_(__LINE__) = (call);                                 \
  if (!TYTO_TRY_NAME_(__LINE__)) return TYTO_TRY_NAME_(__LINE__).error(); \
  declaration = *std::move(TYTO_TRY_NAME_(__LINE__))
