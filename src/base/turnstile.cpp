#include "src/base/turnstile.h"

namespace tyto {

bool Turnstile::enter(Clock::time_point until) {
  std::unique_lock lock(mutex_);
  while (taken_) {
    if (until == Clock::time_point::max())
      freed_.wait(lock);
    else if (freed_.wait_until(lock, until) == std::cv_status::timeout && taken_)
      return false;
  }
  taken_ = true;
  return true;
}

void Turnstile::leave() noexcept {
  {
    const std::lock_guard lock(mutex_);
    taken_ = false;
  }
  freed_.notify_one();
}

}  // namespace tyto
