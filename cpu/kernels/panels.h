// How the vector ISAs lay weights out in panels: sizes, packing, and unpacking of a row. Compiled
// for any processor of the architecture, not for one ISA: so a machine can pack for an ISA that it
// lacks, and faster than with wide vectors, which stall when bytes just stored by them are loaded
// again as words.
//
// A vector has kLanes lanes of 32 bits. A lane is one row of the panel, and its four bytes are four
// k. Of 32 k of a panel, vector v of 8 holds the codes of k = 4v + i in byte i; in memory:
//   4 bits  4 vectors: vector j holds v = j in the low nibbles and v = 4 + j in the high ones
//   5 bits  the same, and a vector whose bit t of byte i is the fifth bit of k = 4t + i
//   6 bits  the same, and two vectors h: bits 2t and 2t + 1 of byte i top k = 16h + 4t + i
//   8 bits  8 vectors; two's complement where the ISA multiplies signed bytes (kSignedBytes), else
//           128 is zero
// Below, a word is one lane: 4 bytes.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cpu/kernel_table.h"
#include "src/quant/blocks.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <emmintrin.h>
#endif

namespace tyto::cpu {

template <int kBits, int kLanes, bool kSignedBytes>
struct PanelCodes {
  static constexpr std::size_t kVector = kLanes * 4;      // bytes
  static constexpr std::size_t kBytes = kBits * kVector;  // of 32 k
  static constexpr std::uint32_t kSign = kSignedBytes ? 0x80808080u : 0;

  static std::uint32_t load_word(const void* from, std::size_t word) {
    std::uint32_t value;
    std::memcpy(&value, static_cast<const std::byte*>(from) + word * 4, 4);
    return value;
  }
  static void store_word(std::uint32_t value, std::byte* to, int vector, int lane) {
    std::memcpy(
        to + static_cast<std::size_t>(vector) * kVector + static_cast<std::size_t>(lane) * 4,
        &value, 4);
  }

  // The 32 codes of one row to its lane.
  static void pack(const std::uint8_t* codes, int lane, std::byte* to) {
    std::uint32_t words[8], high[2] = {0, 0};
    std::memcpy(words, codes, 32);
    if constexpr (kBits == 8) {
      for (int v = 0; v < 8; ++v) store_word(words[v] ^ kSign, to, v, lane);
      return;
    }
    for (int j = 0; j < 4; ++j)
      store_word((words[j] & 0x0f0f0f0fu) | (words[4 + j] & 0x0f0f0f0fu) << 4, to, j, lane);
    for (int v = 0; v < 8; ++v) {
      if constexpr (kBits == 5) high[0] |= (words[v] >> 4 & 0x01010101u) << v;
      if constexpr (kBits == 6) high[v / 4] |= (words[v] >> 4 & 0x03030303u) << v % 4 * 2;
    }
    for (int h = 0; h < kBits - 4; ++h) store_word(high[h], to, 4 + h, lane);
  }

  // The same of four rows, to lane and those after it, from bytes i that hold codes i (low nibble)
  // and 16 + i: words of rows become lanes of vectors.
  static void pack_nibbles(const std::uint8_t* const (&rows)[4], int lane, std::byte* to) {
    to += static_cast<std::size_t>(lane) * 4;
#if defined(__x86_64__) || defined(_M_X64)
    __m128i words[4];
    for (int i = 0; i < 4; ++i)
      words[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[i]));
    const __m128i a = _mm_unpacklo_epi32(words[0], words[1]),
                  b = _mm_unpacklo_epi32(words[2], words[3]),
                  c = _mm_unpackhi_epi32(words[0], words[1]),
                  d = _mm_unpackhi_epi32(words[2], words[3]);
    const __m128i vectors[4] = {_mm_unpacklo_epi64(a, b), _mm_unpackhi_epi64(a, b),
                                _mm_unpacklo_epi64(c, d), _mm_unpackhi_epi64(c, d)};
    for (std::size_t j = 0; j < 4; ++j)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + j * kVector), vectors[j]);
#else
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j)
        store_word(load_word(rows[i], static_cast<std::size_t>(j)), to, j, i);
#endif
  }

  // The reverse.
  static void unpack(const std::byte* from, int lane, std::uint8_t* codes) {
    std::uint32_t words[8];
    for (int v = 0; v < 8; ++v) {
      const std::size_t at = static_cast<std::size_t>(lane);
      if constexpr (kBits == 8) {
        words[v] = load_word(from, static_cast<std::size_t>(v * kLanes) + at) ^ kSign;
        continue;
      }
      words[v] =
          load_word(from, static_cast<std::size_t>(v % 4 * kLanes) + at) >> v / 4 * 4 & 0x0f0f0f0fu;
      if constexpr (kBits == 5)
        words[v] |= (load_word(from, 4 * kLanes + at) >> v & 0x01010101u) << 4;
      if constexpr (kBits == 6)
        words[v] |=
            (load_word(from, static_cast<std::size_t>((4 + v / 4) * kLanes) + at) >> v % 4 * 2 &
             0x03030303u)
            << 4;
    }
    std::memcpy(codes, words, 32);
  }
};

// Formats of simple blocks: 32 k share a scale d (and a minimum m). A panel is groups, each a
// header of 4 * kLanes bytes with the 16-bit scales [block][lane], then the blocks' codes. A group
// is two blocks, or one whose header holds d [lane] and m [lane].
template <class Block, int kLanes, bool kSignedBytes>
struct SimplePanels {
  using PackedCodes = PanelCodes<Block::kBits, kLanes, kSignedBytes>;
  static constexpr bool kMinimum = quant::kHasMinimum<Block>;
  static constexpr std::size_t kGroupBlocks = kMinimum ? 1 : 2;
  static constexpr std::size_t kHeader = kLanes * 4, kHalves = kLanes * 2;
  static constexpr std::size_t kGroupBytes = kHeader + kGroupBlocks * PackedCodes::kBytes;

  static std::size_t blocks(std::size_t k) { return round_up(k, kGroupBlocks * 32) / 32; }
  static std::size_t panel_bytes(std::size_t k) {
    return round_up(blocks(k) / kGroupBlocks * kGroupBytes, 64);
  }
  template <class Byte>
  static Byte* scales(Byte* panel, std::size_t block) {  // d; m lies kHalves behind it
    return panel + block / kGroupBlocks * kGroupBytes + block % kGroupBlocks * kHalves;
  }
  template <class Byte>
  static Byte* codes(Byte* panel, std::size_t block) {
    return panel + block / kGroupBlocks * kGroupBytes + kHeader +
           block % kGroupBlocks * PackedCodes::kBytes;
  }

  static void pack(const std::byte* file_rows, int rows, std::size_t k, std::byte* panel) {
    const std::size_t row_blocks = k / 32;
    // What is not written below, as a whole.
    const std::size_t whole = rows == kLanes ? row_blocks / kGroupBlocks * kGroupBytes : 0;
    std::memset(panel + whole, 0, panel_bytes(k) - whole);
    for (std::size_t b = 0; b < row_blocks; ++b) {
      const auto block_of = [&](int lane) -> const Block& {
        return quant::block_at<Block>(file_rows, static_cast<std::size_t>(lane) * row_blocks + b);
      };
      int lane = 0;
      if constexpr (requires(const Block& block) { block.nibbles(); })
        for (; lane + 4 <= rows; lane += 4)
          PackedCodes::pack_nibbles({block_of(lane).nibbles(), block_of(lane + 1).nibbles(),
                                     block_of(lane + 2).nibbles(), block_of(lane + 3).nibbles()},
                                    lane, codes(panel, b));
      for (; lane < rows; ++lane) {
        std::uint8_t unpacked[32];
        block_of(lane).unpack(unpacked);
        PackedCodes::pack(unpacked, lane, codes(panel, b));
      }
      for (lane = 0; lane < rows; ++lane) {
        std::memcpy(scales(panel, b) + lane * 2, &block_of(lane).d, 2);
        if constexpr (kMinimum)
          std::memcpy(scales(panel, b) + kHalves + lane * 2, &block_of(lane).m, 2);
      }
    }
  }

  static void unpack_row(const std::byte* panel, int row, std::size_t k, float* out) {
    const std::size_t lane = static_cast<std::size_t>(row);
    for (std::size_t b = 0; b < k / 32; ++b) {
      std::uint8_t unpacked[32];
      PackedCodes::unpack(codes(panel, b), row, unpacked);
      const float d = to_float(quant::load_block<quant::F16>(scales(panel, b), lane));
      const float m =
          kMinimum ? to_float(quant::load_block<quant::F16>(scales(panel, b) + kHalves, lane)) : 0;
      quant::dequantize_simple<Block>(unpacked, d, m, out + b * 32);
    }
  }
};

// Formats of super-blocks: 256 k share a scale d, and sub-blocks have integer scales (and
// minimums). A panel is groups of 256 k, each a header and the codes of 8 units of 32 k. The header
// with minimums: d [lane], dmin [lane], 16 bits each; then the file's 12 bytes of 6-bit scales and
// minimums, words [3][lane]. Without: d [lane], 16 bits, and as many bytes unused; then the scales
// of 16 k, int8 [16][lane].
template <class Block, int kLanes, bool kSignedBytes>
struct SuperPanels {
  using PackedCodes = PanelCodes<Block::kBits, kLanes, kSignedBytes>;
  static constexpr bool kMinimum = quant::kHasMinimum<Block>;
  static constexpr int kPerUnit = kMinimum ? 1 : 2;  // sub-blocks in 32 k
  static constexpr int kSubBlocks = 8 * kPerUnit;    // in a group
  static constexpr std::size_t kWords = kLanes * 4;
  static constexpr std::size_t kHalves = kLanes * 2, kSubScales = 2 * kHalves;
  static constexpr std::size_t kHeader = kSubScales + (kMinimum ? 3 * kWords : kSubBlocks * kLanes);
  static constexpr std::size_t kGroupBytes = kHeader + 8 * PackedCodes::kBytes;

  static std::size_t panel_bytes(std::size_t k) { return round_up(k / 256 * kGroupBytes, 64); }

  static void pack(const std::byte* file_rows, int rows, std::size_t k, std::byte* panel) {
    const std::size_t whole = rows == kLanes && kMinimum ? k / 256 * kGroupBytes : 0;
    std::memset(panel + whole, 0, panel_bytes(k) - whole);
    for (std::size_t g = 0; g < k / 256; ++g)
      for (int lane = 0; lane < rows; ++lane) {
        const Block& block =
            quant::block_at<Block>(file_rows, static_cast<std::size_t>(lane) * (k / 256) + g);
        std::byte* group = panel + g * kGroupBytes;
        std::memcpy(group + lane * 2, &block.d, 2);
        if constexpr (kMinimum) {
          std::memcpy(group + kHalves + lane * 2, &block.dmin, 2);
          for (std::size_t w = 0; w < 3; ++w)
            std::memcpy(group + kSubScales + w * kWords + lane * 4, block.sub_scales + w * 4, 4);
        } else {
          for (int s = 0; s < kSubBlocks; ++s)
            group[kSubScales + s * kLanes + lane] = static_cast<std::byte>(block.sub_scales[s]);
        }
        std::uint8_t unpacked[256];
        block.unpack(unpacked);
        for (int u = 0; u < 8; ++u)
          PackedCodes::pack(unpacked + u * 32, lane, group + kHeader + u * PackedCodes::kBytes);
      }
  }

  static void unpack_row(const std::byte* panel, int row, std::size_t k, float* out) {
    const std::size_t lane = static_cast<std::size_t>(row);
    for (std::size_t g = 0; g < k / 256; ++g, out += 256) {
      const std::byte* group = panel + g * kGroupBytes;
      std::uint8_t unpacked[256];
      for (int u = 0; u < 8; ++u)
        PackedCodes::unpack(group + kHeader + u * PackedCodes::kBytes, row, unpacked + u * 32);
      const float d = to_float(quant::load_block<quant::F16>(group, lane));
      if constexpr (kMinimum) {
        std::uint8_t packed[12];
        for (std::size_t w = 0; w < 3; ++w)
          std::memcpy(packed + w * 4, group + kSubScales + w * kWords + lane * 4, 4);
        const float dmin = to_float(quant::load_block<quant::F16>(group + kHalves, lane));
        quant::dequantize_super(unpacked, quant::unpack_sub_scales(packed), d, dmin, out);
      } else {
        std::int8_t scales[kSubBlocks];
        for (int s = 0; s < kSubBlocks; ++s)
          scales[s] = static_cast<std::int8_t>(group[kSubScales + s * kLanes + row]);
        quant::dequantize_super(unpacked, scales, Block::kOffset, d, out);
      }
    }
  }
};

// Float formats. F32, F16: [k][lane]. BF16: pairs of k in a lane, [k / 2][lane][2], zero beyond k.
template <class Value, int kLanes>
struct FloatLanes {
  static constexpr std::size_t kSteps = std::is_same_v<Value, quant::BF16> ? 2 : 1;  // k in a lane
  static constexpr std::size_t kVectorBytes = kLanes * kSteps * sizeof(Value);

  static std::size_t vectors(std::size_t k) { return (k + kSteps - 1) / kSteps; }
  static std::size_t panel_bytes(std::size_t k) { return round_up(vectors(k) * kVectorBytes, 64); }
  template <class Byte>
  static Byte* place(Byte* panel, std::size_t i, std::size_t lane) {  // of weight i of a row
    return panel + i / kSteps * kVectorBytes + (lane * kSteps + i % kSteps) * sizeof(Value);
  }
  static void pack(const std::byte* file_rows, int rows, std::size_t k, std::byte* panel) {
    const std::size_t whole = rows == kLanes ? k / kSteps * kVectorBytes : 0;
    std::memset(panel + whole, 0, panel_bytes(k) - whole);
    constexpr std::size_t kPiece = 64;  // of a row: its vectors are few enough to stay in a cache
    for (std::size_t first = 0; first < k; first += kPiece)
      for (std::size_t lane = 0; lane < static_cast<std::size_t>(rows); ++lane)
        for (std::size_t i = first; i < std::min(first + kPiece, k); ++i)
          std::memcpy(place(panel, i, lane), file_rows + (lane * k + i) * sizeof(Value),
                      sizeof(Value));
  }
  static void unpack_row(const std::byte* panel, int row, std::size_t k, float* out) {
    for (std::size_t i = 0; i < k; ++i)
      out[i] = quant::to_float(
          quant::load_block<Value>(place(panel, i, static_cast<std::size_t>(row)), 0));
  }
};

}  // namespace tyto::cpu
