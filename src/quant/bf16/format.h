// BF16: the upper 16 bits of an IEEE 754 single, little-endian.
#pragma once
#include "src/quant/blocks.h"
#include "src/quant/format.h"

namespace tyto::quant::bf16 {

using Value = BF16;
inline constexpr Format format{
    "bf16", 30, 1, sizeof(Value), dequantize_floats<Value>, finite_floats<Value>};

}  // namespace tyto::quant::bf16
