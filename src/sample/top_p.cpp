// Nucleus sampling (Holtzman et al. 2019): the smallest set of the most probable candidates that
// holds `top_p` of the probability. 0 keeps the best one alone.
#include "src/base/error.h"
#include "src/sample/stage.h"

namespace tyto::sample {
namespace {

Result<> check(const SamplerOptions& options) {
  if (within(options.top_p, 0, 1)) return {};
  return fail(ErrorCode::bad_argument, "top_p is {}: 0 to 1 is expected", options.top_p);
}

bool active(const Settings& settings) { return settings.options.top_p < 1; }

Result<> apply(const Settings& settings, std::span<const TokenId>, Candidates& candidates) {
  const std::span<const float> weights = candidates.weights();
  const double mass = double{settings.options.top_p} * candidates.total_weight();
  const Ranked last = mass_cut(weights, weights, mass, candidates.ranking());
  candidates.keep_to(last, [=](std::size_t i) { return weights[i]; });
  return {};
}

}  // namespace

extern const Stage top_p;
const Stage top_p{"top_p", 70, check, active, apply};

}  // namespace tyto::sample
