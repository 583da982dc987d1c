// Q4_K: 256 codes of 4 bits in 8 sub-blocks of 32, d * scale * code - dmin * min. Each 32 bytes
// hold the codes of two sub-blocks, the second in the high nibbles.
#pragma once
#include "src/quant/blocks.h"
#include "src/quant/format.h"

namespace tyto::quant::q4_k {

struct Block {
  static constexpr int kValues = 256, kBits = 4, kOffset = 0;
  F16 d, dmin;
  std::uint8_t sub_scales[12];
  std::uint8_t codes[128];

  TYTO_EVERYWHERE void unpack(std::uint8_t* out) const noexcept {
    for (int pair = 0; pair < 4; ++pair) unpack_nibbles(codes + pair * 32, 32, out + pair * 64);
  }
};
static_assert(sizeof(Block) == 144);

inline constexpr Format format{
    "q4_k", 12, Block::kValues, sizeof(Block), dequantize_blocks<Block>, finite_blocks<Block>};

}  // namespace tyto::quant::q4_k
