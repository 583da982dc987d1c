// step() and step_until(): many sessions of one model in one pass over the weights.
#include <algorithm>

#include "src/session_impl.h"

namespace tyto {
namespace {

// The sessions of a batch, entered all together or not at all.
class Batch {
 public:
  explicit Batch(std::span<BatchItem> items) noexcept : items_(items) {}
  ~Batch() {
    for (std::size_t i = 0; i < entered_; ++i) session(i).inside.store(false);
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  Result<> enter() {
    for (; entered_ < items_.size(); ++entered_) {
      const std::size_t i = entered_;
      if (!items_[i].session || !items_[i].session->impl())
        return fail(ErrorCode::bad_argument, "item {} of the batch has no session", i);
      for (std::size_t j = 0; j < i; ++j)
        if (&session(j) == &session(i))
          return fail(ErrorCode::bad_argument, "items {} and {} of the batch are one session", j,
                      i);
      if (session(i).model != session(0).model)
        return fail(ErrorCode::bad_argument, "item {} of the batch is a session of another model",
                    i);
      if (session(i).inside.exchange(true))
        return fail(ErrorCode::busy, "another thread is using the session of item {}", i);
    }
    for (std::size_t i = 0; i < items_.size(); ++i)
      if (session(i).state.tokens.empty())
        return fail(ErrorCode::bad_argument, "the session of item {} holds no tokens", i);
    return {};
  }

  Session::Impl& session(std::size_t i) const noexcept { return *items_[i].session->impl(); }

 private:
  std::span<BatchItem> items_;
  std::size_t entered_ = 0;
};

// Every session gets one row, and prompts share what is left in the order of the items.
Result<bool> compute(const Batch& batch, std::span<BatchItem> items, Clock::time_point until) {
  Engine& engine = batch.session(0).engine();
  std::vector<Request>& requests = batch.session(0).requests;
  requests.clear();
  int left = engine.capacity().rows;
  for (std::size_t i = 0; i < items.size(); ++i) {
    Session::Impl& s = batch.session(i);
    if (s.cancelled())
      return Error(ErrorCode::cancelled, "the step was cancelled by a session's Cancel object");
    Sampler* const sampler = items[i].sampler;
    if (sampler && s.state.queued() == 0 && !s.can_draw(*sampler)) {
      TYTO_TRY(const bool queued, s.ask_again(until));
      if (!queued) return false;
    }
    if (s.state.queued() == 0) continue;
    requests.push_back({&s.state, 1, {}, sampler ? s.want_of(*sampler) : Want::logits});
    --left;
  }
  for (Request& request : requests) {
    const int more = std::min(left, static_cast<int>(request.state->queued()) - 1);
    request.rows += more;
    left -= more;
  }
  if (requests.empty()) return true;
  return engine.run(requests, until);
}

// Where the highest logits did not decide, all are computed.
Result<bool> compute_again(const Batch& batch, std::span<BatchItem> items,
                           Clock::time_point until) {
  std::vector<Request>& requests = batch.session(0).requests;
  requests.clear();
  for (std::size_t i = 0; i < items.size(); ++i) {
    Session::Impl& s = batch.session(i);
    if (!items[i].sampler || s.state.queued() > 0 || s.can_draw(*items[i].sampler)) continue;
    TYTO_TRY(const bool queued, s.ask_again(until));
    if (!queued) return false;
    requests.push_back({&s.state, 1, {}});
  }
  if (requests.empty()) return true;
  return batch.session(0).engine().run(requests, until);
}

Result<bool> run_step(std::span<BatchItem> items, Clock::time_point until) {
  if (items.empty()) return true;
  Batch batch(items);
  TYTO_TRY(batch.enter());
  const Capacity& capacity = batch.session(0).engine().capacity();
  const std::size_t most = std::min(capacity.sequences, capacity.rows);
  if (items.size() > most)
    return fail(ErrorCode::limit, "a batch of {} sessions; ModelOptions::limits allows {}",
                items.size(), most);
  TYTO_TRY(const bool done, compute(batch, items, until));
  if (!done) return false;
  TYTO_TRY(const bool complete, compute_again(batch, items, until));
  if (!complete) return false;
  for (std::size_t i = 0; i < items.size(); ++i) {
    Session::Impl& s = batch.session(i);
    s.generation.open = false;
    items[i].out = std::optional<Token>();
    s.stopped = Stop::none;
    Sampler* const sampler = items[i].sampler;
    if (sampler && s.state.queued() == 0 && s.can_draw(*sampler)) items[i].out = s.draw(*sampler);
  }
  return true;
}

}  // namespace

inline namespace v1 {

Result<> step(std::span<BatchItem> items) {
  TYTO_TRY(step_until(Clock::time_point::max(), items));
  return {};
}

Result<bool> step_until(Clock::time_point deadline, std::span<BatchItem> items) {
  return guarded([&] { return run_step(items, deadline); });
}

}  // namespace v1
}  // namespace tyto
