// F32: IEEE 754 single precision, little-endian.
#pragma once
#include "src/quant/blocks.h"
#include "src/quant/format.h"

namespace tyto::quant::f32 {

using Value = float;
inline constexpr Format format{
    "f32", 0, 1, sizeof(Value), dequantize_floats<Value>, finite_floats<Value>};

}  // namespace tyto::quant::f32
