// Locally typical sampling (Meister et al. 2022): the candidates whose surprise is nearest to the
// entropy, the smallest set of them that holds `typical_p` of the probability.
#include <cmath>

#include "src/base/error.h"
#include "src/sample/stage.h"

namespace tyto::sample {
namespace {

Result<> check(const SamplerOptions& options) {
  if (within(options.typical_p, 0, 1)) return {};
  return fail(ErrorCode::bad_argument, "typical_p is {}: 0 to 1 is expected", options.typical_p);
}

bool active(const Settings& settings) { return settings.options.typical_p < 1; }

Result<> apply(const Settings& settings, std::span<const TokenId>, Candidates& candidates) {
  const std::span<const float> logits = candidates.logits();
  const std::span<const float> weights = candidates.weights();
  const double total = candidates.total_weight();
  // The surprise of a candidate is a constant minus its logit, and so the entropy that constant
  // minus the mean logit.
  double mean = 0;
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (weights[i] > 0) mean += double{weights[i]} * double{logits[i]};
  mean /= total;

  const std::span<float> nearness = candidates.scratch();
  for (std::size_t i = 0; i < logits.size(); ++i)
    nearness[i] = -std::abs(logits[i] - static_cast<float>(mean));
  const double mass = double{settings.options.typical_p} * total;
  const Ranked last = mass_cut(nearness, weights, mass, candidates.ranking());
  candidates.keep_to(last, [=](std::size_t i) { return nearness[i]; });
  return {};
}

}  // namespace

extern const Stage typical;
const Stage typical{"typical", 60, check, active, apply};

}  // namespace tyto::sample
