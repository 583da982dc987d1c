// The highest logits of a row, which is all that most samplers look at: a device that finds them
// itself need not send the whole vocabulary.
#pragma once
#include <cstdint>

namespace tyto {

inline constexpr int kTopLogits = 256;

struct TopLogit {
  float logit;
  std::int32_t token;
};

// Written by devices as it is.
struct TopLogits {
  // min(kTopLogits, vocab). 0: a logit is NaN or +infinity, or none is finite; all of them tell
  // which.
  std::int32_t count;
  float log_sum;              // the logarithm of the sum of exp(logit - best[0].logit), of all
  TopLogit best[kTopLogits];  // the highest first, the lowest token among equals
};

}  // namespace tyto
