// Q5_K: 256 codes of 5 bits in 8 sub-blocks of 32, d * scale * code - dmin * min. Each 32 bytes of
// `low` hold the low nibbles of two sub-blocks, the second in the high nibbles; bit s of high[i] is
// the fifth bit of code i of sub-block s.
#pragma once
#include "src/quant/blocks.h"
#include "src/quant/format.h"

namespace tyto::quant::q5_k {

struct Block {
  static constexpr int kValues = 256, kBits = 5, kOffset = 0;
  F16 d, dmin;
  std::uint8_t sub_scales[12];
  std::uint8_t high[32];
  std::uint8_t low[128];

  TYTO_EVERYWHERE void unpack(std::uint8_t* out) const noexcept {
    for (int pair = 0; pair < 4; ++pair) unpack_nibbles(low + pair * 32, 32, out + pair * 64);
    for (int sub = 0; sub < 8; ++sub)
      for (int i = 0; i < 32; ++i)
        out[sub * 32 + i] |= static_cast<std::uint8_t>((high[i] >> sub & 1) << 4);
  }
};
static_assert(sizeof(Block) == 176);

inline constexpr Format format{
    "q5_k", 13, Block::kValues, sizeof(Block), dequantize_blocks<Block>, finite_blocks<Block>};

}  // namespace tyto::quant::q5_k
