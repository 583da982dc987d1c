// F32: IEEE 754 single precision, little-endian.
#pragma once
#include <cmath>
#include <cstring>

#include "src/quant/format.h"

namespace tyto::quant::f32 {

inline void dequantize(const std::byte* blocks, std::size_t count, float* values) {
  std::memcpy(values, blocks, count * sizeof(float));
}

inline bool finite(const std::byte* blocks, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    float value;
    std::memcpy(&value, blocks + i * sizeof(float), sizeof(float));
    if (!std::isfinite(value)) return false;
  }
  return true;
}

inline constexpr Format format{"f32", 0, 1, 4, dequantize, finite};

}  // namespace tyto::quant::f32
