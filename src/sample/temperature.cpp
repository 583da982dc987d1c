// Temperature: logits divided by it. 0 keeps the best candidate alone, the lowest id among equals.
#include <algorithm>
#include <limits>

#include "src/base/error.h"
#include "src/sample/softmax.h"
#include "src/sample/stage.h"

namespace tyto::sample {
namespace {

Result<> check(const SamplerOptions& options) {
  if (within(options.temperature, 0, std::numeric_limits<float>::max())) return {};
  return fail(ErrorCode::bad_argument, "temperature is {}: 0 or more is expected",
              options.temperature);
}

bool active(const Settings& settings) { return settings.options.temperature != 1; }

Result<> apply(const Settings& settings, std::span<const TokenId>, Candidates& candidates) {
  const float temperature = settings.options.temperature;
  const std::span<float> logits = candidates.mutable_logits();
  const float top = highest(logits);
  if (temperature == 0) {
    const auto best = std::find(logits.begin(), logits.end(), top) - logits.begin();
    Ranked only[] = {{top, static_cast<std::uint32_t>(best)}};
    candidates.keep(only);
  } else {
    // Relative to the highest, so that a tiny temperature makes the others -infinity and not that
    // one +infinity.
    const float scale = 1 / std::max(temperature, 1e-30f);
    for (float& logit : logits) logit = (logit - top) * scale;
  }
  return {};
}

}  // namespace

extern const Stage temperature;
const Stage temperature{"temperature", 40, check, active, apply};

}  // namespace tyto::sample
