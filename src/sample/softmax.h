// Maxima and sums of exponentials over a vocabulary, in arithmetic of our own: the same on every
// machine, and in loops that compilers vectorize.
#pragma once
#include <span>

namespace tyto::sample {

// The highest value; -infinity of none. Passes over NaN.
float highest(std::span<const float> values) noexcept;
bool has_nan(std::span<const float> values) noexcept;

// out[i] = exp(values[i] - shift), for values at or below `shift`. The relative error is below
// 3e-7, and 1e-7 more for each 1 below `shift`, down to exp(-70); from exp(-88) on it is 0.
void exp_below(std::span<const float> values, float shift, std::span<float> out) noexcept;

double sum(std::span<const float> values) noexcept;

// The logarithm of the sum of exp(values), of which `top` is the highest.
double log_sum_exp(std::span<const float> values, float top) noexcept;

}  // namespace tyto::sample
