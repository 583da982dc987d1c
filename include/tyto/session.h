// A session: one token sequence and its cache. append and sync only queue; the calls that compute
// are prefill, next, generate, score, step and their _until forms.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tyto/export.h"
#include "tyto/model.h"
#include "tyto/result.h"
#include "tyto/sampler.h"
#include "tyto/tokenizer.h"

namespace tyto {
inline namespace v1 {

struct Logprob {
  TokenId id;
  float value;  // natural logarithm
};

// Views are valid until the session's next call.
struct Token {
  TokenId id = -1;
  std::string_view text = {};   // whole UTF-8 characters completed by this token, possibly none yet
  std::string_view bytes = {};  // the token's raw bytes
  // Of the model's own distribution: before bias, penalties, temperature, truncation.
  float logprob = 0;
  std::span<const Logprob> top = {};
};

enum class Stop : unsigned char {
  none,
  end_of_text,
  stop_string,
  max_tokens,
  context_full,
  callback,  // it answered false
  budget,    // the deadline came first
  cancelled
};

struct GenerateOptions {
  int max_tokens = 512;
  // The text ends before the first of these, also across token borders.
  std::vector<std::string> stop = {};
};

using OnToken = std::function<bool(const Token&)>;  // false stops

// Move-only; one thread at a time: while one thread is inside a call, a second one's call that
// returns a Result gets `busy`. The plain accessors belong to the owning thread. A failed call
// leaves the session as it was; a cancelled one keeps the whole chunks it computed and fails with
// `cancelled`. A default-constructed or moved-from Session answers bad_argument.
class TYTO_EXPORT Session {
 public:
  // Queues tokens; computes nothing. An id outside the vocabulary is bad_argument, no room for all
  // is `limit`.
  Result<> append(std::span<const TokenId> tokens);
  // Makes `tokens` the sequence: keeps the common prefix, drops the rest, queues what is new.
  // Returns the kept length.
  Result<std::size_t> sync(std::span<const TokenId> tokens);
  // Computes what is queued, chunk by chunk, and the logits where a device kept them to itself.
  Result<> prefill();
  // Computes what is queued, then draws the next token and queues it. Empty: stopped() says why. A
  // token that ends the text is not queued. An empty sequence is bad_argument; logits without a
  // finite value are `numeric`.
  Result<std::optional<Token>> next(Sampler& sampler);
  // next() until something stops it. on_token may be empty. Text that could still become a stop
  // string, or is half a character, waits for the token that decides it; if the generation ends
  // first, one more call brings that text, with id -1.
  Result<Stop> generate(Sampler& sampler, const GenerateOptions& options, const OnToken& on_token);
  // The same, until `deadline`: then Stop::budget. It may end inside a token, or inside a prompt,
  // and the next call goes on where this one stopped. A call that follows a budget stop with the
  // same options continues that generation: max_tokens and stop strings count from where it began.
  Result<Stop> generate_until(Clock::time_point deadline, Sampler& sampler,
                              const GenerateOptions& options, const OnToken& on_token);
  // Appends `tokens` and computes them, calling back with the logits [vocab] of each position,
  // those already queued aside. position indexes tokens(). The callback answers false to stop; what
  // was computed by then is kept.
  Result<> score(
      std::span<const TokenId> tokens,
      const std::function<bool(std::size_t position, std::span<const float> logits)>& on_logits);

  // [vocab] after the last position; empty while anything is queued, and where a device has sent
  // the highest logits only, as a sampler needed no more: prefill() brings all.
  std::span<const float> logits() const noexcept;
  std::span<const TokenId> tokens() const noexcept;  // computed and queued
  Stop stopped() const noexcept;                     // why the last next() or generate() ended
  std::size_t capacity() const noexcept;             // tokens this session may hold
  std::size_t remaining() const noexcept;

  // Drops all tokens from `length` on. More than there are is bad_argument.
  Result<> truncate(std::size_t length);
  // A second session with the same tokens. Whole pages are shared until one of the two writes;
  // `limit` when the model's cache has no page left for the one both would write.
  Result<Session> fork() const;

  Session() noexcept;
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl) noexcept;
  Impl* impl() const noexcept { return impl_.get(); }

 private:
  std::unique_ptr<Impl> impl_;
};

// One step for many sessions of one model, in one pass over the weights: prompts advance by chunks,
// others by a token.
struct BatchItem {
  Session* session = nullptr;
  Sampler* sampler = nullptr;  // null: only compute
  Result<std::optional<Token>> out{
      std::optional<Token>{}};  // empty: still computing a prompt, or stopped() says why
};
// Fails as a whole, leaving every session as it was, or answers in each item. Sessions must be
// distinct and of one model.
TYTO_EXPORT Result<> step(std::span<BatchItem> items);
// true: the step is complete. false: call again with the same items.
TYTO_EXPORT Result<bool> step_until(Clock::time_point deadline, std::span<BatchItem> items);

}  // namespace v1
}  // namespace tyto
