// Q8_0: 32 signed codes of 8 bits, d * code.
#pragma once
#include "src/quant/blocks.h"
#include "src/quant/format.h"

namespace tyto::quant::q8_0 {

struct Block {
  static constexpr int kValues = 32, kBits = 8, kOffset = 128;
  F16 d;
  std::int8_t codes[32];

  TYTO_EVERYWHERE void unpack(std::uint8_t* out) const noexcept {
    for (int i = 0; i < 32; ++i) out[i] = static_cast<std::uint8_t>(codes[i] + kOffset);
  }
};
static_assert(sizeof(Block) == 34);

inline constexpr Format format{
    "q8_0", 8, Block::kValues, sizeof(Block), dequantize_blocks<Block>, finite_blocks<Block>};

}  // namespace tyto::quant::q8_0
