// Top-k: the k candidates with the highest logits, the lowest ids among equals (Fan et al. 2018).
#include "src/base/error.h"
#include "src/sample/stage.h"

namespace tyto::sample {
namespace {

Result<> check(const SamplerOptions& options) {
  if (options.top_k >= 0) return {};
  return fail(ErrorCode::bad_argument, "top_k is {}: 0 or more is expected", options.top_k);
}

bool active(const Settings& settings) { return settings.options.top_k > 0; }

Result<> apply(const Settings& settings, std::span<const TokenId>, Candidates& candidates) {
  const auto count = static_cast<std::size_t>(settings.options.top_k);
  if (count >= candidates.size()) return {};
  select_best(candidates.logits(), count, candidates.ranking());
  candidates.keep(candidates.ranking());
  return {};
}

}  // namespace

extern const Stage top_k;
const Stage top_k{"top_k", 50, check, active, apply};

}  // namespace tyto::sample
