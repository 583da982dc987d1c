// The inside of Sampler, and the call by which a session samples.
#pragma once
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "src/sample/candidates.h"
#include "src/sample/stage.h"
#include "src/top_logits.h"
#include "tyto/result.h"
#include "tyto/sampler.h"
#include "tyto/session.h"

namespace tyto {

struct TYTO_LOCAL Sampler::Impl {
  sample::Settings settings;
  std::vector<const sample::Stage*> stages;  // in the order in which they run
  std::atomic<bool> in_use{false};

  // Workspace of choose.
  sample::Candidates candidates;
  std::vector<TopLogit> by_token;
  std::vector<sample::Ranked> ranked;
  std::vector<Logprob> top;
};

namespace sample {

struct Choice {
  TokenId id = -1;
  float logprob = 0;             // of the model's own distribution
  std::span<const Logprob> top;  // best first; valid until the sampler's next call
};

// Draws the token that follows `history`. logits: [vocab], as the model gave them. `numeric`: a
// NaN, a +infinity, or no finite logit, from the model or after a stage. `busy`: another thread is
// using the sampler.
Result<Choice> choose(Sampler::Impl& sampler, std::span<const float> logits,
                      std::span<const TokenId> history, std::uint64_t position);

// Whether the highest logits may be all that the sampler looks at, as it is set.
bool looks_at_top(Sampler::Impl& sampler);
// Whether they are: from these it draws what it would draw from all `vocab`. A sampler that another
// thread is using looks at all, and choose says `busy`.
bool decides(Sampler::Impl& sampler, const TopLogits& top, std::size_t vocab);
// The same as above, where they decide. Log probabilities are right to within rounding.
Result<Choice> choose(Sampler::Impl& sampler, const TopLogits& top,
                      std::span<const TokenId> history, std::uint64_t position);

}  // namespace sample
}  // namespace tyto
