// Lets one thread through at a time, in the order in which they came; waiting for one's turn may
// end at a deadline.
#pragma once
#include <condition_variable>
#include <mutex>

#include "tyto/host.h"

namespace tyto {

class Turnstile {
 public:
  // False: `until` passed first. time_point::max() waits for ever.
  bool enter(Clock::time_point until);
  void leave() noexcept;

 private:
  // One who waits, on the waiting thread's stack.
  struct Waiter {
    Waiter* next = nullptr;
    bool called = false;
  };
  void forget(Waiter& waiter) noexcept;

  std::mutex mutex_;
  std::condition_variable called_;
  Waiter* first_ = nullptr;
  bool taken_ = false;
};

}  // namespace tyto
