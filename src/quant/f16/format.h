// F16: IEEE 754 half precision, little-endian.
#pragma once
#include "src/quant/blocks.h"
#include "src/quant/format.h"

namespace tyto::quant::f16 {

using Value = F16;
inline constexpr Format format{
    "f16", 1, 1, sizeof(Value), dequantize_floats<Value>, finite_floats<Value>};

}  // namespace tyto::quant::f16
