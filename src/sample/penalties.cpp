// Penalties on the tokens of the last `penalty_window`: repetition (CTRL, Keskar et al. 2019:
// positive logits are divided, others multiplied), presence and frequency (subtracted once, and
// once for each time).
#include <algorithm>
#include <limits>

#include "src/base/error.h"
#include "src/sample/stage.h"

namespace tyto::sample {
namespace {

constexpr float kMax = std::numeric_limits<float>::max();

Result<> check(const SamplerOptions& options) {
  if (!within(options.repeat_penalty, std::numeric_limits<float>::min(), kMax))
    return fail(ErrorCode::bad_argument, "repeat_penalty is {}: a positive number is expected",
                options.repeat_penalty);
  if (!within(options.presence_penalty, -kMax, kMax))
    return fail(ErrorCode::bad_argument, "presence_penalty is {}: a number is expected",
                options.presence_penalty);
  if (!within(options.frequency_penalty, -kMax, kMax))
    return fail(ErrorCode::bad_argument, "frequency_penalty is {}: a number is expected",
                options.frequency_penalty);
  if (options.penalty_window < 0)
    return fail(ErrorCode::bad_argument, "penalty_window is {}: 0 or more is expected",
                options.penalty_window);
  return {};
}

bool active(const Settings& settings) {
  const SamplerOptions& options = settings.options;
  return options.penalty_window > 0 &&
         (options.repeat_penalty != 1 || options.presence_penalty != 0 ||
          options.frequency_penalty != 0);
}

float penalized(float logit, float times, const SamplerOptions& options) {
  logit = logit > 0 ? logit / options.repeat_penalty : logit * options.repeat_penalty;
  return logit - times * options.frequency_penalty - options.presence_penalty;
}

Result<> apply(const Settings& settings, std::span<const TokenId> history, Candidates& candidates) {
  const SamplerOptions& options = settings.options;
  const std::span<float> times =
      candidates.scratch();  // only the entries of the window's tokens are used
  const std::span<float> logits = candidates.mutable_logits();
  const auto window =
      history.last(std::min(history.size(), static_cast<std::size_t>(options.penalty_window)));
  for (const TokenId id : window)
    if (static_cast<std::size_t>(id) >= logits.size())
      return fail(ErrorCode::bad_argument,
                  "token {} of the sequence is outside the vocabulary of {}", id, logits.size());
  for (const TokenId id : window) times[static_cast<std::size_t>(id)] = 0;
  for (const TokenId id : window) times[static_cast<std::size_t>(id)] += 1;
  for (const TokenId id : window) {
    float& count = times[static_cast<std::size_t>(id)];
    if (count == 0) continue;  // done: the token stands in the window more than once
    float& logit = logits[static_cast<std::size_t>(id)];
    logit = penalized(logit, count, options);
    count = 0;
  }
  return {};
}

}  // namespace

extern const Stage penalties;
const Stage penalties{"penalties", 20, check, active, apply};

}  // namespace tyto::sample
