// Floats of 8 bits: a sign, 4 bits of exponent, 3 of fraction, no infinity. Source: OCP 8-bit
// Floating Point Specification (OFP8) 1.0, E4M3.
#pragma once
#include "src/quant/blocks.h"

namespace tyto::quant {

struct E4M3 {
  std::uint8_t bits;
};

TYTO_EVERYWHERE inline float to_float(E4M3 value) noexcept {
  const int exponent = value.bits >> 3 & 15, fraction = value.bits & 7;
  const float sign = value.bits & 0x80 ? -1.0f : 1.0f;
  if (exponent == 0) return sign * static_cast<float>(fraction) * 0x1p-9f;
  if ((value.bits & 0x7f) == 0x7f) return NAN;
  return sign * static_cast<float>(8 + fraction) * ldexpf(1.0f, exponent - 10);
}

// To nearest, ties to even; what is too large, or infinite, becomes 448, the largest. NaN stays
// NaN.
TYTO_EVERYWHERE inline E4M3 to_e4m3(float value) noexcept {
  constexpr float kLargest = 448, kLeastNormal = 0x1p-6f;
  if (!(value == value)) return {0x7f};
  const std::uint8_t sign = value < 0 || (value == 0 && copysignf(1, value) < 0) ? 0x80 : 0;
  const float magnitude = fminf(fabsf(value), kLargest);
  if (magnitude < kLeastNormal)  // steps of 2^-9; the eighth is the least normal number
    return {static_cast<std::uint8_t>(sign | static_cast<int>(rintf(magnitude * 0x1p9f)))};
  int exponent = 0;
  (void)frexpf(magnitude, &exponent);  // magnitude in [2^(exponent - 1), 2^exponent)
  const int steps = static_cast<int>(rintf(ldexpf(magnitude, 4 - exponent)));  // 8 to 16
  return {static_cast<std::uint8_t>(sign | (((exponent + 6) << 3) + steps - 8))};
}

}  // namespace tyto::quant
