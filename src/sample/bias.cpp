// Logit bias: a number added to the logits of single tokens; -infinity forbids the token.
#include <limits>

#include "src/base/error.h"
#include "src/sample/stage.h"

namespace tyto::sample {
namespace {

Result<> check(const SamplerOptions& options) {
  constexpr float kMax = std::numeric_limits<float>::max();
  for (const Bias& bias : options.bias) {
    if (bias.token < 0)
      return fail(ErrorCode::bad_argument, "bias: token {} is negative", bias.token);
    if (!within(bias.value, -std::numeric_limits<float>::infinity(), kMax))
      return fail(ErrorCode::bad_argument,
                  "bias of token {} is {}: a number or -infinity is expected", bias.token,
                  bias.value);
  }
  return {};
}

bool active(const Settings& settings) { return !settings.options.bias.empty(); }

Result<> apply(const Settings& settings, std::span<const TokenId>, Candidates& candidates) {
  const std::span<float> logits = candidates.mutable_logits();
  for (const Bias& bias : settings.options.bias) {
    const auto token = static_cast<std::size_t>(bias.token);
    if (token >= logits.size())
      return fail(ErrorCode::bad_argument, "bias: token {} is outside the vocabulary of {}",
                  bias.token, logits.size());
    logits[token] += bias.value;
  }
  return {};
}

}  // namespace

extern const Stage bias;
const Stage bias{"bias", 10, check, active, apply};

}  // namespace tyto::sample
