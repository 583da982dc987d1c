// Q6_K: 256 codes of 6 bits in 16 sub-blocks of 16, d * scale * (code - 32). Of each 128 codes, 64
// bytes of `low` hold the low nibbles of codes i and 64 + i, and bits 2j and 2j + 1 of byte i of
// `high` top code 32 * j + i.
#pragma once
#include "src/quant/blocks.h"
#include "src/quant/format.h"

namespace tyto::quant::q6_k {

struct Block {
  static constexpr int kValues = 256, kBits = 6, kOffset = 32;
  std::uint8_t low[128];
  std::uint8_t high[64];
  std::int8_t sub_scales[16];
  F16 d;

  TYTO_EVERYWHERE void unpack(std::uint8_t* out) const noexcept {
    for (int half = 0; half < 2; ++half) {
      unpack_nibbles(low + half * 64, 64, out + half * 128);
      for (int quarter = 0; quarter < 4; ++quarter)
        for (int i = 0; i < 32; ++i)
          out[half * 128 + quarter * 32 + i] |=
              static_cast<std::uint8_t>((high[half * 32 + i] >> quarter * 2 & 3) << 4);
    }
  }
};
static_assert(sizeof(Block) == 210);

inline constexpr Format format{
    "q6_k", 14, Block::kValues, sizeof(Block), dequantize_blocks<Block>, finite_blocks<Block>};

}  // namespace tyto::quant::q6_k
