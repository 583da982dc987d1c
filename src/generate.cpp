// Session::generate and generate_until: next() with stop strings, limits and a callback, in one
// call or in many.
#include "src/sample/sampler.h"
#include "src/session_impl.h"

namespace tyto {
namespace {

class Run {
 public:
  Run(Session::Impl& session, Sampler& sampler, const GenerateOptions& options,
      const OnToken& on_token)
      : s_(session), sampler_(sampler), options_(options), on_token_(on_token) {}

  Result<Stop> until(Clock::time_point deadline) {
    if (!std::exchange(s_.generation.open, false))
      s_.generation = {false, 0, StopMatcher(options_.stop)};
    for (;;) {
      if (s_.generation.produced >= options_.max_tokens) return end(Stop::max_tokens);
      const auto computed = s_.compute_for(sampler_, deadline);
      if (!computed && computed.error().code() == ErrorCode::cancelled) {
        bring(s_.generation.matcher.flush());  // what begins a character stays with the session
        return s_.stopped = Stop::cancelled;
      }
      if (!computed) return computed.error();
      if (!*computed) {
        s_.generation.open = true;
        return s_.stopped = Stop::budget;
      }
      TYTO_TRY(std::optional<Token> token, s_.draw(sampler_));
      if (!token) return end(s_.stopped);
      ++s_.generation.produced;
      token->text = s_.generation.matcher.feed(token->text);
      const bool more = !on_token_ || on_token_(*token);
      if (s_.generation.matcher.found()) return s_.stopped = Stop::stop_string;
      if (!more) return s_.stopped = Stop::callback;
    }
  }

 private:
  // Brings the text that was held back.
  Stop end(Stop why) {
    s_.stopped = why;
    std::string rest;
    if (s_.decoder) rest = s_.generation.matcher.feed(s_.decoder->flush());
    rest += s_.generation.matcher.flush();
    bring(rest);
    return why;
  }
  void bring(std::string_view text) {
    if (!text.empty() && on_token_) on_token_(Token{-1, text, {}, 0, {}});
  }

  Session::Impl& s_;
  Sampler& sampler_;
  const GenerateOptions& options_;
  const OnToken& on_token_;
};

}  // namespace

inline namespace v1 {

Result<Stop> Session::generate(Sampler& sampler, const GenerateOptions& options,
                               const OnToken& on_token) {
  return generate_until(Clock::time_point::max(), sampler, options, on_token);
}

Result<Stop> Session::generate_until(Clock::time_point deadline, Sampler& sampler,
                                     const GenerateOptions& options, const OnToken& on_token) {
  return session_call(impl_.get(), [&](Impl& s) -> Result<Stop> {
    if (options.max_tokens < 0)
      return fail(ErrorCode::bad_argument, "GenerateOptions::max_tokens is {}", options.max_tokens);
    return Run(s, sampler, options, on_token).until(deadline);
  });
}

}  // namespace v1
}  // namespace tyto
