// Min-p (Nguyen et al. 2024): the candidates at least `min_p` times as probable as the most
// probable one.
#include "src/base/error.h"
#include "src/sample/softmax.h"
#include "src/sample/stage.h"

namespace tyto::sample {
namespace {

Result<> check(const SamplerOptions& options) {
  if (within(options.min_p, 0, 1)) return {};
  return fail(ErrorCode::bad_argument, "min_p is {}: 0 to 1 is expected", options.min_p);
}

bool active(const Settings& settings) { return settings.options.min_p > 0; }

Result<> apply(const Settings& settings, std::span<const TokenId>, Candidates& candidates) {
  const std::span<const float> weights = candidates.weights();
  const float least = settings.options.min_p * highest(weights);
  candidates.keep_to({least, kNoIndex}, [=](std::size_t i) { return weights[i]; });
  return {};
}

}  // namespace

extern const Stage min_p;
const Stage min_p{"min_p", 80, check, active, apply};

}  // namespace tyto::sample
