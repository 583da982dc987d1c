// Logits for tests, and the highest of them by a plain sort.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "src/top_logits.h"

namespace tyto::test {

inline std::vector<float> random_logits(std::size_t count, unsigned seed, float spread = 3) {
  std::mt19937 engine(seed);
  std::vector<float> logits(count);
  for (float& logit : logits)
    logit = (static_cast<float>(engine() >> 8) * 0x1p-24f - 0.5f) * 4 * spread;
  return logits;
}

// As a device sends them.
inline TopLogits top_of(std::span<const float> logits) {
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
  });
  TopLogits top{};
  top.count = static_cast<std::int32_t>(std::min<std::size_t>(order.size(), kTopLogits));
  for (int i = 0; i < top.count; ++i) {
    const std::int32_t token = order[static_cast<std::size_t>(i)];
    top.best[i] = {logits[static_cast<std::size_t>(token)], token};
  }
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - top.best[0].logit);
  top.log_sum = static_cast<float>(std::log(sum));
  return top;
}

}  // namespace tyto::test
