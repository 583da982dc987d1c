#include "src/sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "src/base/error.h"
#include "src/sample/random.h"
#include "src/sample/softmax.h"

namespace tyto {
namespace sample {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Holds a sampler for one call.
class Use {
 public:
  explicit Use(Sampler::Impl& sampler) noexcept
      : sampler_(sampler), held_(!sampler.in_use.exchange(true, std::memory_order_acquire)) {}
  ~Use() {
    if (held_) sampler_.in_use.store(false, std::memory_order_release);
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  Result<> check() const {
    if (held_) return {};
    return Error(ErrorCode::busy, "another thread is using the sampler");
  }

 private:
  Sampler::Impl& sampler_;
  bool held_;
};

// The highest logit. `numeric` if one is NaN or +infinity, or none is finite.
Result<float> checked_highest(std::span<const float> logits, std::string_view whose) {
  const float top = highest(logits);
  const bool nan = has_nan(logits);
  if (!nan && std::isfinite(top)) return top;
  if (!nan && top < 0)
    return fail(ErrorCode::numeric, "{}: none of {} logits is finite", whose, logits.size());
  const auto bad =
      std::find_if(logits.begin(), logits.end(), [](float x) { return !(x < kInfinity); });
  return fail(ErrorCode::numeric, "{}: the logit of token {} is {}", whose, bad - logits.begin(),
              *bad);
}

std::vector<const Stage*> stages_in_order() {
  std::vector<const Stage*> all(stages().begin(), stages().end());
  std::sort(all.begin(), all.end(),
            [](const Stage* a, const Stage* b) { return a->order < b->order; });
  return all;
}

Result<> run_stages(Sampler::Impl& sampler, std::span<const TokenId> history) {
  bool changed = false;
  for (const Stage* stage : sampler.stages) {
    if (stage->order >= kNarrowing && changed) {
      TYTO_TRY(checked_highest(sampler.candidates.logits(),
                               "after bias, penalties and the host's stages"));
      changed = false;
    }
    if (!stage->active(sampler.settings)) continue;
    TYTO_TRY(stage->apply(sampler.settings, history, sampler.candidates));
    changed |= stage->order < kNarrowing;
  }
  return {};
}

TokenId draw(Candidates& candidates, double uniform) {
  const std::span<const float> weights = candidates.weights();
  const double target = uniform * candidates.total_weight();
  double reached = 0;
  std::size_t last = 0;  // of those that may be drawn: rounding can leave the target above the sum
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    last = i;
    reached += double{weights[i]};
    if (reached > target) break;
  }
  return candidates.ids()[last];
}

TokenId draw(Sampler::Impl& sampler, std::uint64_t position) {
  return draw(sampler.candidates, uniform(sampler.settings.options.seed, position));
}

// Whether nothing comes before temperature and top-k, which keeps less than kTopLogits.
bool is_narrow(const Sampler::Impl& sampler) {
  const SamplerOptions& options = sampler.settings.options;
  const bool few = options.temperature == 0 || (options.top_k > 0 && options.top_k < kTopLogits);
  return few && options.top_logprobs <= kTopLogits &&
         std::none_of(sampler.stages.begin(), sampler.stages.end(), [&](const Stage* stage) {
           return stage->order < kNarrowing && stage->active(sampler.settings);
         });
}

void find_top(Sampler::Impl& sampler, std::span<const float> logits, double log_sum) {
  const auto count = static_cast<std::size_t>(sampler.settings.options.top_logprobs);
  select_best(logits, std::min(count, logits.size()), sampler.ranked);
  std::sort(sampler.ranked.begin(), sampler.ranked.end(), better);
  sampler.top.clear();
  for (const Ranked& entry : sampler.ranked)
    sampler.top.push_back(
        {static_cast<TokenId>(entry.index), static_cast<float>(double{entry.key} - log_sum)});
}

}  // namespace

Result<Choice> choose(Sampler::Impl& sampler, std::span<const float> logits,
                      std::span<const TokenId> history, std::uint64_t position) {
  const Use use(sampler);
  TYTO_TRY(use.check());
  TYTO_TRY(const float top, checked_highest(logits, "the model"));
  const double log_sum = log_sum_exp(logits, top);

  sampler.candidates.assign(logits);
  TYTO_TRY(run_stages(sampler, history));
  const TokenId id = draw(sampler, position);

  find_top(sampler, logits, log_sum);
  const auto logprob = static_cast<float>(double{logits[static_cast<std::size_t>(id)]} - log_sum);
  return Choice{id, logprob, sampler.top};
}

bool looks_at_top(Sampler::Impl& sampler) {
  const Use use(sampler);
  return use.check() && is_narrow(sampler);
}

bool decides(Sampler::Impl& sampler, const TopLogits& top, std::size_t vocab) {
  const Use use(sampler);
  if (!use.check() || top.count == 0 || !is_narrow(sampler)) return false;
  if (static_cast<std::size_t>(top.count) == vocab) return true;
  const SamplerOptions& options = sampler.settings.options;
  const int kept = options.temperature == 0 ? 1 : options.top_k;
  const double best = top.best[0].logit, worst_kept = top.best[kept - 1].logit,
               worst = top.best[top.count - 1].logit;
  if (worst == -kInfinity) return worst_kept > worst;
  // Temperature rounds twice, by less than a millionth of the distance from the best each time:
  // after it, too, a logit that was not sent must be less than those that are kept.
  return worst_kept - worst > 1e-6 * (best - worst);
}

Result<Choice> choose(Sampler::Impl& sampler, const TopLogits& top,
                      std::span<const TokenId> history, std::uint64_t position) {
  const Use use(sampler);
  TYTO_TRY(use.check());
  const std::span best(top.best, static_cast<std::size_t>(top.count));
  sampler.by_token.assign(best.begin(), best.end());
  std::sort(sampler.by_token.begin(), sampler.by_token.end(),
            [](const TopLogit& a, const TopLogit& b) { return a.token < b.token; });
  sampler.candidates.assign(sampler.by_token);
  TYTO_TRY(run_stages(sampler, history));
  const TokenId id = draw(sampler, position);

  const auto logprob = [&](const TopLogit& of) {
    return static_cast<float>(double{of.logit} - best[0].logit - top.log_sum);
  };
  const auto drawn = std::find_if(best.begin(), best.end(),
                                  [id](const TopLogit& each) { return each.token == id; });
  const auto shown = static_cast<std::size_t>(sampler.settings.options.top_logprobs);
  sampler.top.clear();
  for (const TopLogit& each : best.first(std::min(shown, best.size())))
    sampler.top.push_back({each.token, logprob(each)});
  return Choice{id, logprob(*drawn), sampler.top};
}

}  // namespace sample

inline namespace v1 {

Sampler::Sampler() noexcept = default;
Sampler::Sampler(Sampler&&) noexcept = default;
Sampler& Sampler::operator=(Sampler&&) noexcept = default;
Sampler::~Sampler() = default;

Result<Sampler> Sampler::create(const SamplerOptions& options) {
  return guarded([&]() -> Result<Sampler> {
    auto impl = std::make_unique<Impl>();
    impl->settings.options = options;
    impl->stages = sample::stages_in_order();
    for (const sample::Stage* stage : impl->stages)
      if (stage->check != nullptr) TYTO_TRY(stage->check(options));
    if (options.top_logprobs < 0)
      return fail(ErrorCode::bad_argument, "top_logprobs is {}: 0 or more is expected",
                  options.top_logprobs);
    Sampler sampler;
    sampler.impl_ = std::move(impl);
    return sampler;
  });
}

Result<> Sampler::add(std::shared_ptr<LogitStage> stage) {
  return guarded([&]() -> Result<> {
    if (impl_ == nullptr)
      return Error(ErrorCode::bad_argument, "the sampler is empty: use Sampler::create");
    if (stage == nullptr) return Error(ErrorCode::bad_argument, "the stage is null");
    const sample::Use use(*impl_);
    TYTO_TRY(use.check());
    impl_->settings.host.push_back(std::move(stage));
    return {};
  });
}

Result<Sampler> Sampler::clone() const {
  return guarded([&]() -> Result<Sampler> {
    if (impl_ == nullptr)
      return Error(ErrorCode::bad_argument, "the sampler is empty: use Sampler::create");
    const sample::Use use(*impl_);
    TYTO_TRY(use.check());
    Sampler copy;
    copy.impl_ = std::make_unique<Impl>();
    copy.impl_->settings = impl_->settings;
    copy.impl_->stages = impl_->stages;
    return copy;
  });
}

}  // namespace v1
}  // namespace tyto
