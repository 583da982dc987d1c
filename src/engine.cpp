#include "src/engine.h"

#include "src/base/error.h"

namespace tyto {

// The right to compute. Waiting for it ends at a deadline, so that a game frame never waits for
// another's prompt.
class Engine::Turn {
 public:
  explicit Turn(Engine& engine, Clock::time_point until = Clock::time_point::max())
      : turns_(engine.turns_), mine_(turns_.enter(until)) {}
  ~Turn() {
    if (mine_) turns_.leave();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  explicit operator bool() const noexcept { return mine_; }

 private:
  Turnstile& turns_;
  const bool mine_;
};

Engine::Engine(const Plan& plan, Program& program, Cache& cache, const Capacity& capacity,
               std::vector<int> pages)
    : vocab_(plan.vocab),
      program_(program),
      capacity_(capacity),
      pages_(cache, std::move(pages)),
      caches_(plan.caches.size()) {
  parts_.reserve(capacity.sequences);
  rows_.reserve(capacity.rows);
  sequences_.reserve(capacity.sequences);
  tables_.reserve(capacity.sequences * caches_);
  outputs_.reserve(capacity.outputs);
}

void Engine::prepare(SequenceState& state, std::size_t capacity) const {
  state.tokens.reserve(capacity);
  state.pages.resize(caches_);
  for (auto& pages : state.pages) pages.reserve(capacity / kPageTokens + 1);
  state.logits.resize(vocab_);
  state.arrived_logits.resize(vocab_);
}

Result<bool> Engine::run(std::span<const Request> requests, Clock::time_point until) {
  const Turn turn(*this, until);
  if (!turn) return false;
  if (under_way_) {
    // A kept step goes first. If it fails, its owner will meet the same failure itself.
    if (const auto done = advance(until); done && !*done) return false;
  }
  // Was the kept step the caller's own, here or in another thread's run? Then the caller asks again
  // for what is left.
  bool arrived = false;
  for (const Request& request : requests) arrived |= take_arrived(*request.state);
  if (arrived) return true;

  TYTO_TRY(start(requests));
  TYTO_TRY(const bool done, advance(until));
  if (done)
    for (const Request& request : requests) take_arrived(*request.state);
  return done;
}

Result<> Engine::make_pages(std::span<const Request> requests) {
  for (std::size_t i = 0; i < requests.size(); ++i) {
    SequenceState& state = *requests[i].state;
    auto made =
        pages_.make_writable(state.pages, state.computed, state.computed + requests[i].rows);
    if (made) continue;
    for (const Request& earlier : requests.first(i))  // keep no page that they will not use
      TYTO_TRY(pages_.shrink(earlier.state->pages, earlier.state->computed));
    return made;
  }
  return {};
}

void Engine::add_rows(const Request& request) {
  SequenceState& state = *request.state;
  const auto sequence = static_cast<std::int32_t>(sequences_.size());
  const std::size_t first_table = tables_.size();
  for (const auto& pages : state.pages) tables_.push_back(pages);
  sequences_.push_back({std::span(tables_).subspan(first_table, caches_)});

  Known known = Known::nothing;
  if (request.all.empty() && state.computed + request.rows == state.tokens.size())
    known = request.want == Want::top && program_.ranks() ? Known::top : Known::logits;
  for (int i = 0; i < request.rows; ++i) {
    const auto slot = static_cast<std::int32_t>(state.computed + i);
    const auto row = static_cast<std::int32_t>(rows_.size());
    const bool last = i + 1 == request.rows;
    if (!request.all.empty())
      outputs_.push_back(
          {row, Want::logits, request.all.subspan(static_cast<std::size_t>(i) * vocab_, vocab_)});
    else if (last && known == Known::logits)
      outputs_.push_back({row, Want::logits, state.arrived_logits});
    else if (last && known == Known::top)
      outputs_.push_back({row, Want::top, {}, &state.arrived_top});
    rows_.push_back({state.tokens[slot], sequence, slot, 0, slot + 1, slot});
  }
  parts_.push_back({&state, request.rows, known});
}

Result<> Engine::start(std::span<const Request> requests) {
  TYTO_TRY(make_pages(requests));
  parts_.clear();
  rows_.clear();
  sequences_.clear();
  tables_.clear();
  outputs_.clear();
  for (const Request& request : requests) add_rows(request);
  TYTO_TRY(program_.start({rows_, sequences_, {}}, outputs_));
  under_way_ = true;
  return {};
}

Result<bool> Engine::advance(Clock::time_point until) {
  auto done = program_.work(until);
  if (done && !*done) return false;
  under_way_ = false;
  if (!done) return done.error();
  TYTO_TRY(program_.finish());
  for (const Part& part : parts_) {
    part.state->arrived = part.rows;
    part.state->arrived_known = part.known;
  }
  return true;
}

bool Engine::take_arrived(SequenceState& state) noexcept {
  if (state.arrived == 0) return false;
  state.computed += state.arrived;
  state.arrived = 0;
  state.known = state.arrived_known;
  if (state.known == Known::logits) std::swap(state.logits, state.arrived_logits);
  if (state.known == Known::top) state.top = state.arrived_top;
  return true;
}

void Engine::forget(const SequenceState& state) noexcept {
  for (const Part& part : parts_)
    if (under_way_ && part.state == &state) under_way_ = false;
}

Result<> Engine::truncate(SequenceState& state, std::size_t length) {
  const Turn turn(*this);
  take_arrived(state);
  forget(state);
  TYTO_TRY(pages_.shrink(state.pages, std::min(length, state.computed)));
  if (length < state.computed) {
    state.computed = length;
    state.known = Known::nothing;
  }
  state.tokens.resize(std::min(length, state.tokens.size()));
  return {};
}

Result<bool> Engine::recompute_last(SequenceState& state, Clock::time_point until) {
  const Turn turn(*this, until);
  if (!turn) return false;
  if (take_arrived(state) || state.computed == 0) return true;
  // What can fail comes first: a page that a fork shares is copied.
  TYTO_TRY(pages_.make_writable(state.pages, state.computed - 1, state.computed));
  TYTO_TRY(pages_.shrink(state.pages, --state.computed));
  state.known = Known::nothing;
  return true;
}

Result<> Engine::fork(SequenceState& from, SequenceState& to) {
  const Turn turn(*this);
  take_arrived(from);
  forget(from);
  TYTO_TRY(
      pages_.shrink(from.pages, from.computed));  // what an unfinished step wrote is not shared
  pages_.share(from.pages, to.pages);
  // The page that both would write next becomes two at once, so that a fork that does not fit fails
  // here.
  if (from.computed % kPageTokens != 0) {
    if (auto copied = pages_.make_writable(to.pages, from.computed, from.computed + 1); !copied) {
      pages_.release(to.pages);
      return copied;
    }
  }
  to.tokens.assign(from.tokens.begin(), from.tokens.end());
  to.computed = from.computed;
  to.known = from.known;
  if (from.known == Known::logits) to.logits = from.logits;
  if (from.known == Known::top) to.top = from.top;
  return {};
}

void Engine::release(SequenceState& state) noexcept {
  const Turn turn(*this);
  forget(state);
  pages_.release(state.pages);
}

}  // namespace tyto
