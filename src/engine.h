// Runs the steps of one model, one at a time, for all its sessions. A step that a deadline cut
// short stays here and is finished by whoever computes next, so that no session starves another and
// none waits for a thread that went away.
#pragma once
#include <memory>
#include <vector>

#include "src/backend.h"
#include "src/base/turnstile.h"
#include "src/pages.h"

namespace tyto {

// What is there of the logits after the last token that was computed.
enum class Known : unsigned char { nothing, top, logits };

// What the engine knows of a session. The owner's thread changes `tokens`, and everything else only
// through the engine. Its address is its identity while it lives.
struct SequenceState {
  std::vector<TokenId> tokens;  // computed and queued; reserved to the session's capacity
  std::size_t computed = 0;     // of tokens, in the cache
  PageTable pages;              // reserved to the session's capacity
  Known known = Known::nothing;
  std::vector<float> logits;  // [vocab]
  TopLogits top{};

  std::size_t queued() const noexcept { return tokens.size() - computed; }

 private:
  friend class Engine;
  // A finished step's outcome, possibly written by another session's thread: read under the
  // engine's lock.
  std::size_t arrived = 0;  // tokens it computed; 0: none
  Known arrived_known = Known::nothing;
  std::vector<float> arrived_logits;  // [vocab]
  TopLogits arrived_top{};
};

// What one session wants of a step.
struct Request {
  SequenceState* state = nullptr;
  int rows = 0;               // of its queued tokens, from the first
  std::span<float> all = {};  // not empty: logits of each row, [rows, vocab]
  Want want = Want::logits;   // or Want::top, where the program finds those: of its last token
};

class Engine {
 public:
  Engine(const Plan& plan, Program& program, Cache& cache, const Capacity& capacity,
         std::vector<int> pages);

  // Makes room for a session of up to `capacity` tokens.
  void prepare(SequenceState& state, std::size_t capacity) const;

  // Computes one step. False: `until` passed first; the step is kept, and the next run of any
  // session goes on with it. The logits of a request's last row arrive in its state where that row
  // is its last token.
  Result<bool> run(std::span<const Request> requests, Clock::time_point until);

  // These drop the step under way if `state` takes part in it.
  Result<> truncate(SequenceState& state, std::size_t length);
  // Queues the last token again, for its logits. False: `until` passed first.
  Result<bool> recompute_last(SequenceState& state, Clock::time_point until);
  Result<> fork(SequenceState& from, SequenceState& to);
  void release(SequenceState& state) noexcept;

  const Capacity& capacity() const noexcept { return capacity_; }

 private:
  class Turn;  // the lock on everything below

  struct Part {  // one session's share of the step under way
    SequenceState* state;
    int rows;
    Known known;  // when it is computed
  };

  Result<> start(std::span<const Request> requests);
  Result<> make_pages(std::span<const Request> requests);
  void add_rows(const Request& request);
  Result<bool> advance(Clock::time_point until);
  bool take_arrived(SequenceState& state) noexcept;
  void forget(const SequenceState& state) noexcept;

  const int vocab_;
  Program& program_;
  const Capacity capacity_;

  Turnstile turns_;

  // Protected by a Turn.
  PagePool pages_;
  bool under_way_ = false;
  std::vector<Part> parts_;
  std::vector<Row> rows_;
  std::vector<Sequence> sequences_;
  std::vector<std::span<const PageId>> tables_;  // [sequence, cache]
  std::vector<Output> outputs_;
  const std::size_t caches_;
};

}  // namespace tyto
