#include "tyto/session.h"

#include <algorithm>

#include "src/base/error.h"
#include "src/sample/sampler.h"
#include "src/session_impl.h"

namespace tyto {

Result<> check_ids(std::span<const TokenId> ids, int vocab) {
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < 0 || ids[i] >= vocab)
      return fail(ErrorCode::bad_argument,
                  "token {} of the input is id {}, the vocabulary has {} tokens", i, ids[i], vocab);
  return {};
}

Result<> Session::Impl::check_added(std::span<const TokenId> tokens) const {
  TYTO_TRY(check_ids(tokens, model->plan.vocab));
  const std::size_t held = state.tokens.size();
  if (tokens.size() > capacity - held)
    return fail(ErrorCode::limit,
                "{} tokens do not fit in a session that holds {} and has room for {}",
                tokens.size(), held, capacity);
  return {};
}

Result<bool> Session::Impl::compute(Clock::time_point until, Want want) {
  while (state.queued() > 0) {
    if (cancelled())
      return Error(ErrorCode::cancelled, "computing was cancelled by its Cancel object");
    const auto rows =
        static_cast<int>(std::min<std::size_t>(state.queued(), engine().capacity().rows));
    const Request request{&state, rows, {}, want};
    TYTO_TRY(const bool done, engine().run({&request, 1}, until));
    if (!done) return false;
  }
  return true;
}

Want Session::Impl::want_of(Sampler& sampler) const {
  const bool top_may_do = !wants_all && sampler.impl() && sample::looks_at_top(*sampler.impl());
  return top_may_do ? Want::top : Want::logits;
}

bool Session::Impl::can_draw(Sampler& sampler) const {
  if (state.known != Known::top) return state.known == Known::logits;
  return sampler.impl() && sample::decides(*sampler.impl(), state.top, model->plan.vocab);
}

Result<bool> Session::Impl::ask_again(Clock::time_point until) {
  wants_all = state.known == Known::top;
  return engine().recompute_last(state, until);
}

Result<bool> Session::Impl::compute_for(Sampler& sampler, Clock::time_point until) {
  if (state.tokens.empty())
    return Error(ErrorCode::bad_argument,
                 "the session holds no tokens: append a prompt, or the begin token, first");
  for (;;) {
    TYTO_TRY(const bool done, compute(until, want_of(sampler)));
    if (!done || can_draw(sampler)) return done;
    TYTO_TRY(const bool queued, ask_again(until));
    if (!queued) return false;
  }
}

void Session::Impl::prepare() {
  engine().prepare(state, capacity);
  requests.reserve(engine().capacity().sequences);
  sequence_changed();
}

void Session::Impl::sequence_changed() {
  generation = {};
  wants_all = false;
  stopped = Stop::none;
  const Tokenizer& tokenizer = model->tokenizer;
  // Whether the next token opens the text: then its leading space is the tokenizer's, not the
  // text's.
  const bool opens = std::all_of(state.tokens.rbegin(), state.tokens.rend(),
                                 [&](TokenId id) { return tokenizer.bytes(id).empty(); });
  if (tokenizer.impl()) decoder.emplace(tokenizer, opens);
}

Result<std::optional<Token>> Session::Impl::draw(Sampler& sampler) {
  if (!sampler.impl())
    return Error(ErrorCode::bad_argument,
                 "the sampler is empty: default-constructed or moved from");
  if (state.tokens.size() >= capacity) {
    stopped = Stop::context_full;
    return std::optional<Token>();
  }
  const std::size_t position = state.tokens.size();
  TYTO_TRY(const sample::Choice choice,
           state.known == Known::top
               ? sample::choose(*sampler.impl(), state.top, state.tokens, position)
               : sample::choose(*sampler.impl(), state.logits, state.tokens, position));
  wants_all = false;
  if (model->tokenizer.ends_text(choice.id)) {
    stopped = Stop::end_of_text;
    return std::optional<Token>();
  }
  top.assign(choice.top.begin(), choice.top.end());
  state.tokens.push_back(choice.id);
  stopped = Stop::none;
  return std::optional<Token>({choice.id, decoder ? decoder->feed(choice.id) : std::string_view(),
                               model->tokenizer.bytes(choice.id), choice.logprob, top});
}

inline namespace v1 {

Result<Session> Model::new_session(const SessionOptions& options) const {
  if (!impl_)
    return Error(ErrorCode::bad_argument, "the model is empty: default-constructed or moved from");
  if (options.context < 1)
    return fail(ErrorCode::bad_argument, "SessionOptions::context is {}, expected at least 1",
                options.context);
  return guarded([&]() -> Result<Session> {
    auto session = std::make_unique<Session::Impl>(impl_);
    session->cancel = options.cancel;
    session->capacity =
        std::min({static_cast<std::size_t>(options.context),
                  static_cast<std::size_t>(impl_->plan.context), impl_->cache_tokens});
    session->prepare();
    return Session(std::move(session));
  });
}

Session::Session() noexcept = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;
Session::Session(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

Result<> Session::append(std::span<const TokenId> tokens) {
  return session_call(impl_.get(), [&](Impl& s) -> Result<> {
    TYTO_TRY(s.check_added(tokens));
    s.state.tokens.insert(s.state.tokens.end(), tokens.begin(), tokens.end());
    s.sequence_changed();
    return {};
  });
}

Result<std::size_t> Session::sync(std::span<const TokenId> tokens) {
  return session_call(impl_.get(), [&](Impl& s) -> Result<std::size_t> {
    TYTO_TRY(check_ids(tokens, s.model->plan.vocab));
    if (tokens.size() > s.capacity)
      return fail(ErrorCode::limit, "{} tokens do not fit in the session's context of {}",
                  tokens.size(), s.capacity);
    std::vector<TokenId>& held = s.state.tokens;
    const auto differ = std::mismatch(held.begin(), held.end(), tokens.begin(), tokens.end());
    const auto kept = static_cast<std::size_t>(differ.first - held.begin());
    if (kept < held.size()) TYTO_TRY(s.engine().truncate(s.state, kept));
    held.insert(held.end(), differ.second, tokens.end());
    s.sequence_changed();
    return kept;
  });
}

Result<> Session::prefill() {
  return session_call(impl_.get(), [&](Impl& s) -> Result<> {
    constexpr auto kEver = Clock::time_point::max();
    TYTO_TRY(s.compute(kEver));
    if (s.state.known != Known::top) return {};
    TYTO_TRY(s.ask_again(kEver));
    TYTO_TRY(s.compute(kEver));
    return {};
  });
}

Result<std::optional<Token>> Session::next(Sampler& sampler) {
  return session_call(impl_.get(), [&](Impl& s) -> Result<std::optional<Token>> {
    s.generation.open = false;
    TYTO_TRY(s.compute_for(sampler, Clock::time_point::max()));
    return s.draw(sampler);
  });
}

Result<> Session::score(std::span<const TokenId> tokens,
                        const std::function<bool(std::size_t, std::span<const float>)>& on_logits) {
  return session_call(impl_.get(), [&](Impl& s) -> Result<> {
    TYTO_TRY(s.check_added(tokens));
    const std::size_t vocab = s.model->plan.vocab, held = s.state.tokens.size();
    TYTO_TRY(s.compute(Clock::time_point::max()));
    const Capacity& capacity = s.engine().capacity();
    const auto chunk = static_cast<std::size_t>(std::min(capacity.outputs, capacity.rows));
    std::vector<float> logits(std::min(chunk, tokens.size()) * vocab);
    s.state.tokens.insert(s.state.tokens.end(), tokens.begin(), tokens.end());
    s.sequence_changed();

    Result<> result;
    bool more = true;
    while (more && result && s.state.queued() > 0) {
      if (s.cancelled()) {
        result = Error(ErrorCode::cancelled, "scoring was cancelled by its Cancel object");
        break;
      }
      const std::size_t first = s.state.computed, rows = std::min(chunk, s.state.queued());
      const std::span<float> all = std::span(logits).first(rows * vocab);
      const Request request{&s.state, static_cast<int>(rows), all};
      const auto done = s.engine().run({&request, 1}, Clock::time_point::max());
      if (!done) {
        result = done.error();
        break;
      }
      std::copy_n(all.end() - vocab, vocab, s.state.logits.begin());
      s.state.known = Known::logits;
      try {
        for (std::size_t row = 0; row < rows && more; ++row)
          more = !on_logits || on_logits(first + row, all.subspan(row * vocab, vocab));
      } catch (...) {  // as if it had answered false
        TYTO_TRY(s.engine().truncate(s.state, s.state.computed));
        throw;
      }
    }
    // Tokens that were not reached do not stay queued; after a failure none of the new ones stay.
    const bool keep = result || result.error().code() == ErrorCode::cancelled;
    if (!keep || s.state.queued() > 0)
      TYTO_TRY(s.engine().truncate(s.state, keep ? s.state.computed : held));
    return result;
  });
}

std::span<const float> Session::logits() const noexcept {
  if (!impl_ || impl_->state.queued() > 0 || impl_->state.known != Known::logits) return {};
  return impl_->state.logits;
}

std::span<const TokenId> Session::tokens() const noexcept {
  return impl_ ? std::span<const TokenId>(impl_->state.tokens) : std::span<const TokenId>();
}

Stop Session::stopped() const noexcept { return impl_ ? impl_->stopped : Stop::none; }
std::size_t Session::capacity() const noexcept { return impl_ ? impl_->capacity : 0; }
std::size_t Session::remaining() const noexcept {
  return impl_ ? impl_->capacity - impl_->state.tokens.size() : 0;
}

Result<> Session::truncate(std::size_t length) {
  return session_call(impl_.get(), [&](Impl& s) -> Result<> {
    if (length > s.state.tokens.size())
      return fail(ErrorCode::bad_argument, "truncate to {} tokens, the session holds {}", length,
                  s.state.tokens.size());
    TYTO_TRY(s.engine().truncate(s.state, length));
    s.sequence_changed();
    return {};
  });
}

Result<Session> Session::fork() const {
  return session_call(impl_.get(), [&](Impl& s) -> Result<Session> {
    auto twin = std::make_unique<Impl>(s.model);
    twin->cancel = s.cancel;
    twin->capacity = s.capacity;
    twin->prepare();
    TYTO_TRY(s.engine().fork(s.state, twin->state));
    twin->sequence_changed();
    if (s.decoder) twin->decoder.emplace(*s.decoder);  // perhaps inside a character
    return Session(std::move(twin));
  });
}

}  // namespace v1
}  // namespace tyto
