// The inside of Session, shared by the calls on one session (session.cpp), generation
// (generate.cpp) and batches (step.cpp).
#pragma once
#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "src/base/error.h"
#include "src/engine.h"
#include "src/model_impl.h"
#include "src/stop_matcher.h"
#include "src/text/stream_decoder.h"
#include "tyto/session.h"

namespace tyto {

// The one thread that is inside a session's call.
class Entry {
 public:
  explicit Entry(std::atomic<bool>& inside) noexcept
      : inside_(inside), mine_(!inside.exchange(true)) {}
  ~Entry() {
    if (mine_) inside_.store(false);
  }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;
  explicit operator bool() const noexcept { return mine_; }

 private:
  std::atomic<bool>& inside_;
  const bool mine_;
};

// A generation that a deadline may cut into several calls.
struct Generation {
  bool open =
      false;  // the last call ended with Stop::budget and nothing has touched the session since
  int produced = 0;
  StopMatcher matcher;
};

struct TYTO_LOCAL Session::Impl {
  explicit Impl(std::shared_ptr<const Model::Impl> shared_model) : model(std::move(shared_model)) {}
  ~Impl() { model->engine->release(state); }

  Engine& engine() const noexcept { return *model->engine; }
  bool cancelled() const noexcept { return cancel && cancel->requested(); }

  // Makes room for `capacity` tokens, so that no step allocates.
  void prepare();
  // Whether these tokens are of the vocabulary, and there is room for them.
  Result<> check_added(std::span<const TokenId> tokens) const;
  // Computes all that is queued, chunk by chunk. False: `until` passed first. want: Want::top, or
  // all logits.
  Result<bool> compute(Clock::time_point until, Want want = Want::logits);
  // The same, until the sampler can draw.
  Result<bool> compute_for(Sampler& sampler, Clock::time_point until);
  // Want::top, where the highest logits may be all that the sampler needs.
  Want want_of(Sampler& sampler) const;
  bool can_draw(Sampler& sampler) const;
  // Queues the last token again, for the logits that are not there. False: `until` passed first.
  Result<bool> ask_again(Clock::time_point until);
  // Draws a token, once can_draw(), and queues it. Empty: `stopped` says why.
  Result<std::optional<Token>> draw(Sampler& sampler);
  // The sequence is no longer what a decoder or a generation has seen.
  void sequence_changed();

  std::shared_ptr<const Model::Impl> model;
  const Cancel* cancel = nullptr;
  std::size_t capacity = 0;
  SequenceState state;
  bool wants_all = false;  // the highest logits did not decide
  Stop stopped = Stop::none;
  std::optional<text::StreamDecoder> decoder;  // none for a model without a tokenizer
  Generation generation;
  std::vector<Logprob> top;
  std::vector<Request> requests;  // of a batch whose first session this is
  mutable std::atomic<bool> inside{false};
};

// The body of a public call: answers for empty handles, for a second thread, and for exceptions.
template <class Body>
auto session_call(Session::Impl* session, Body&& body) noexcept -> decltype(body(*session)) {
  if (!session)
    return Error(ErrorCode::bad_argument,
                 "the session is empty: default-constructed or moved from");
  const Entry entry(session->inside);
  if (!entry) return Error(ErrorCode::busy, "another thread is using this session");
  return guarded([&] { return body(*session); });
}

// bad_argument names the first id outside the vocabulary.
Result<> check_ids(std::span<const TokenId> ids, int vocab);

}  // namespace tyto
