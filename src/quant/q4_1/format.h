// Q4_1: 32 codes of 4 bits, d * code + m. Byte i holds codes i (low nibble) and 16 + i.
#pragma once
#include "src/quant/blocks.h"
#include "src/quant/format.h"

namespace tyto::quant::q4_1 {

struct Block {
  static constexpr int kValues = 32, kBits = 4, kOffset = 0;
  F16 d, m;
  std::uint8_t codes[16];

  const std::uint8_t* nibbles() const noexcept { return codes; }  // as panels have them
  TYTO_EVERYWHERE void unpack(std::uint8_t* out) const noexcept { unpack_nibbles(codes, 16, out); }
};
static_assert(sizeof(Block) == 20);

inline constexpr Format format{
    "q4_1", 3, Block::kValues, sizeof(Block), dequantize_blocks<Block>, finite_blocks<Block>};

}  // namespace tyto::quant::q4_1
