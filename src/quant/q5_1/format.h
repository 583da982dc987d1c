// Q5_1: 32 codes of 5 bits, d * code + m. Byte i holds the low nibbles of codes i and 16 + i; bit i
// of `high` is the fifth bit of code i.
#pragma once
#include "src/quant/blocks.h"
#include "src/quant/format.h"

namespace tyto::quant::q5_1 {

struct Block {
  static constexpr int kValues = 32, kBits = 5, kOffset = 0;
  F16 d, m;
  std::uint8_t high[4];
  std::uint8_t low[16];

  TYTO_EVERYWHERE void unpack(std::uint8_t* out) const noexcept {
    unpack_nibbles(low, 16, out);
    add_fifth_bits(high, 32, out);
  }
};
static_assert(sizeof(Block) == 24);

inline constexpr Format format{
    "q5_1", 7, Block::kValues, sizeof(Block), dequantize_blocks<Block>, finite_blocks<Block>};

}  // namespace tyto::quant::q5_1
