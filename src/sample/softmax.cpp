#include "src/sample/softmax.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace tyto::sample {
namespace {

// Sums and maxima run in lanes, since compilers may not reorder them by themselves.
constexpr std::size_t kLanes = 16;

constexpr float kLeast = -126.0f;  // exponents of 2 below it are as good as -infinity

// 2^t for kLeast <= t <= 0, and 0 for kLeast itself: 2^n * 2^f with |f| <= 1/2. The polynomial of
// (2^f - 1) / f goes through Chebyshev points; its own relative error is 2e-7.
inline float power_of_2(float t) noexcept {
  constexpr float kRound =
      0x1.8p23f;  // adding it rounds to an integer, which the low bits then hold
  const float shifted = t + kRound;
  const float f = t - (shifted - kRound);
  float p = 0.001338135f;
  p = p * f + 0.009666417f;
  p = p * f + 0.055503808f;
  p = p * f + 0.24022348f;
  p = p * f + 0.6931472f;
  const auto n = std::bit_cast<std::uint32_t>(shifted) << 23;
  const auto power = std::bit_cast<float>(std::bit_cast<std::uint32_t>(p * f + 1.0f) + n);
  return power - 0x1p-126f;  // lost in rounding, but for the least powers
}

}  // namespace

float highest(std::span<const float> values) noexcept {
  std::array<float, kLanes> tops;
  tops.fill(-std::numeric_limits<float>::infinity());
  const std::size_t whole = values.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      tops[lane] = values[i + lane] > tops[lane] ? values[i + lane] : tops[lane];
  float top = *std::max_element(tops.begin(), tops.end());
  for (std::size_t i = whole; i < values.size(); ++i) top = std::max(top, values[i]);
  return top;
}

bool has_nan(std::span<const float> values) noexcept {
  std::uint32_t nans = 0;
  for (const float value : values) nans += value != value ? 1 : 0;
  return nans != 0;
}

void exp_below(std::span<const float> values, float shift, std::span<float> out) noexcept {
  constexpr float kLog2E = 1.44269504f;
  const float* in = values.data();
  float* to = out.data();
  // Two loops, since compilers make a branch of a bound that is followed by other arithmetic.
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float t = (in[i] - shift) * kLog2E;
    to[i] = t > kLeast ? t : kLeast;
  }
  for (std::size_t i = 0; i < values.size(); ++i) to[i] = power_of_2(to[i]);
}

double sum(std::span<const float> values) noexcept {
  std::array<double, kLanes> lanes{};
  const std::size_t whole = values.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += double{values[i + lane]};
  double total = 0;
  for (const double lane : lanes) total += lane;
  for (std::size_t i = whole; i < values.size(); ++i) total += double{values[i]};
  return total;
}

double log_sum_exp(std::span<const float> values, float top) noexcept {
  std::array<float, 1024> block;
  double total = 0;
  for (std::size_t i = 0; i < values.size(); i += block.size()) {
    const std::size_t count = std::min(block.size(), values.size() - i);
    exp_below(values.subspan(i, count), top, block);
    total += sum(std::span(block).first(count));
  }
  return double{top} + std::log(total);
}

}  // namespace tyto::sample
