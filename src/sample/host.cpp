// The stages that the host wrote itself, in the order in which they were added.
#include "src/base/error.h"
#include "src/sample/stage.h"

namespace tyto::sample {
namespace {

bool active(const Settings& settings) { return !settings.host.empty(); }

Result<> apply(const Settings& settings, std::span<const TokenId> history, Candidates& candidates) {
  for (const std::shared_ptr<LogitStage>& stage : settings.host)
    TYTO_TRY(stage->apply(candidates.mutable_logits(), history));
  return {};
}

}  // namespace

extern const Stage host;
const Stage host{"host", 30, nullptr, active, apply};

}  // namespace tyto::sample
