#include "src/base/turnstile.h"

namespace tyto {

bool Turnstile::enter(Clock::time_point until) {
  std::unique_lock lock(mutex_);
  if (!taken_) return taken_ = true;
  Waiter mine;
  Waiter** last = &first_;
  while (*last != nullptr) last = &(*last)->next;
  *last = &mine;
  while (!mine.called) {
    if (until == Clock::time_point::max()) {
      called_.wait(lock);
    } else if (called_.wait_until(lock, until) == std::cv_status::timeout && !mine.called) {
      forget(mine);
      return false;
    }
  }
  return true;
}

// Who leaves hands over to who has waited longest: one who comes back at once goes behind them all.
void Turnstile::leave() noexcept {
  {
    const std::lock_guard lock(mutex_);
    taken_ = first_ != nullptr;
    if (!taken_) return;
    first_->called = true;
    first_ = first_->next;
  }
  called_.notify_all();
}

void Turnstile::forget(Waiter& waiter) noexcept {
  Waiter** at = &first_;
  while (*at != &waiter) at = &(*at)->next;
  *at = waiter.next;
}

}  // namespace tyto
