// Lets one thread through at a time; waiting for one's turn may end at a deadline.
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
  std::mutex mutex_;
  std::condition_variable freed_;
  bool taken_ = false;
};

}  // namespace tyto
