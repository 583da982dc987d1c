// Carries an exception past the library, which lets none through: what a callback throws is held
// here, and thrown again once the call has returned.
#pragma once
#include <exception>

namespace cli {

class Carry {
 public:
  // False, for "stop", if the body answers false or throws.
  template <class Body>
  bool operator()(Body&& body) noexcept {
    try {
      return body();
    } catch (...) {
      held_ = std::current_exception();
      return false;
    }
  }
  void rethrow() const {
    if (held_) std::rethrow_exception(held_);
  }

 private:
  std::exception_ptr held_;
};

}  // namespace cli
