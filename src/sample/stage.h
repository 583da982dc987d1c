// A sampler stage: one step on the way from logits to a token. One file here per stage; it defines
//   namespace tyto::sample { extern const Stage <file name>; const Stage <file name>{...}; }
// and the build writes the list of all of them (stages()). What the user may set of it is a field
// of SamplerOptions (include/tyto/sampler.h) with a default for which `active` is false, or which
// suits nearly everyone.
#pragma once
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "src/sample/candidates.h"
#include "tyto/result.h"
#include "tyto/sampler.h"

namespace tyto::sample {

struct Settings {
  SamplerOptions options;
  std::vector<std::shared_ptr<LogitStage>> host;
};

struct Stage {
  std::string_view name;
  // Stages run in ascending order, each number taken once: 10 bias, 20 penalties, 30 host, 40
  // temperature, 50 top_k, 60 typical, 70 top_p, 80 min_p. Those below kNarrowing change logits of
  // the whole vocabulary (ids()[i] == i); what they leave is checked once more. The others scale
  // and drop, and leave at least one candidate; where 40 and 50 keep few, a device may have sent
  // just the highest logits, so what comes between the two must keep their order.
  int order;
  // bad_argument names the option that is out of range; a NaN is. Null: nothing to check.
  Result<> (*check)(const SamplerOptions& options);
  // False: the stage would leave everything as it is, and is passed over.
  bool (*active)(const Settings& settings);
  // history: the sequence so far. Allocates in the first draw at most.
  Result<> (*apply)(const Settings& settings, std::span<const TokenId> history,
                    Candidates& candidates);
};

inline constexpr int kNarrowing = 40;

std::span<const Stage* const> stages() noexcept;  // in the order of their names

// True for low <= value <= high, so never for NaN.
constexpr bool within(float value, float low, float high) noexcept {
  return value >= low && value <= high;
}

}  // namespace tyto::sample
