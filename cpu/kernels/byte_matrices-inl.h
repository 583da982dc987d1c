// Products of many rows by matrices of bytes (SMMLA; Arm Architecture Reference Manual, FEAT_I8MM).
// One instruction adds the products of 2 records and 2 lanes of a panel, 8 k each, to a 2 x 2 tile
// of sums. A panel is expanded to a byte per code, and the codes are put in pairs of lanes: two
// vectors of 4 k, [2][lane][4], become [lane][8]. Integer sums are exact, and what follows them is
// the code of simple_blocks-inl.h and super_blocks-inl.h: the same bits as without.
#pragma once
#include "cpu/kernels/simple_blocks-inl.h"
#include "cpu/kernels/super_blocks-inl.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

// Record 0 with lanes 0 and 1, then record 1 with both: 8 products each. asm as in neon.h.
TYTO_INLINE void add_matrix(int32x4_t& tile, uint8x16_t records, uint8x16_t lanes) {
  asm volatile("smmla %0.4s, %1.16b, %2.16b" : "+w"(tile) : "w"(records), "w"(lanes));
}

// In place, of 32 k.
TYTO_INLINE void join_words(std::byte* codes) {
  TYTO_UNROLL
  for (std::size_t v = 0; v < 8; v += 2) {
    std::byte* at = codes + v * kVector;
    const Ints a = load_ints(at), b = load_ints(at + kVector);
    store(Ints{vzip1q_s32(a.low, b.low), vzip2q_s32(a.low, b.low)}, at);
    store(Ints{vzip1q_s32(a.high, b.high), vzip2q_s32(a.high, b.high)}, at + kVector);
  }
}

// The first two elements of both, and the last two.
TYTO_INLINE int32x4_t first_halves(int32x4_t a, int32x4_t b) {
  return vcombine_s32(vget_low_s32(a), vget_low_s32(b));
}
TYTO_INLINE int32x4_t last_halves(int32x4_t a, int32x4_t b) {
  return vcombine_s32(vget_high_s32(a), vget_high_s32(b));
}

// The sums of 4 * kVectors products of each record with each lane.
template <int kVectors, int kRecords>
TYTO_INLINE void multiply_matrices(const std::byte* joined, const std::byte* activations,
                                   std::size_t stride, Ints (&sums)[kRecords]) {
  int32x4_t tiles[kRecords / 2][4];
  TYTO_UNROLL
  for (auto& pair : tiles) {
    TYTO_UNROLL
    for (int32x4_t& tile : pair) tile = vdupq_n_s32(0);
  }
  TYTO_UNROLL
  for (int step = 0; step < kVectors / 2; ++step, joined += 2 * kVector, activations += 8) {
    const Bytes first = load_bytes(joined), second = load_bytes(joined + kVector);
    TYTO_UNROLL
    for (int r = 0; r < kRecords; r += 2) {
      const auto* row =
          reinterpret_cast<const std::uint8_t*>(activations) + static_cast<std::size_t>(r) * stride;
      const uint8x16_t records = vcombine_u8(vld1_u8(row), vld1_u8(row + stride));
      add_matrix(tiles[r / 2][0], records, first.low);
      add_matrix(tiles[r / 2][1], records, first.high);
      add_matrix(tiles[r / 2][2], records, second.low);
      add_matrix(tiles[r / 2][3], records, second.high);
    }
  }
  TYTO_UNROLL
  for (int r = 0; r < kRecords; r += 2) {
    const int32x4_t(&tile)[4] = tiles[r / 2];
    sums[r] = {first_halves(tile[0], tile[1]), first_halves(tile[2], tile[3])};
    sums[r + 1] = {last_halves(tile[0], tile[1]), last_halves(tile[2], tile[3])};
  }
}

template <class Family>
struct MatrixProduct;

template <class Block>
struct MatrixProduct<SimpleBlocks<Block>> {
  using Family = SimpleBlocks<Block>;
  using Expanded = typename Family::template Expanded<1>;

  static void expand(const std::byte* panel, std::size_t k, std::byte* to) {
    Expanded::expand(panel, k, to);
    for (std::size_t b = 0; b < Family::blocks(k); ++b)
      join_words(to + b * Expanded::kBlock + Expanded::kCodes);
  }

  template <int kRecords>
  static void multiply(const std::byte* expanded, std::size_t k, const Records& a, float* out,
                       std::size_t out_stride) {
    alignas(64) float acc[kRecords][kLanes] = {};
    const std::byte* block = expanded;
    for (std::size_t b = 0; b < Family::blocks(k); ++b, block += Expanded::kBlock) {
      Ints sums[kRecords];
      multiply_matrices<8>(block + Expanded::kCodes, a.first + b * 32, a.stride, sums);
      const Floats d = load_floats(block), m = load_floats(block + kVector);
      TYTO_UNROLL
      for (int r = 0; r < kRecords; ++r) {
        const Ints pair = a.sum_pair(r, b);
        store(Family::accumulate(load_floats(acc[r]), Family::start(pair).sum() + sums[r], d, m,
                                 pair, a.scale(r, b)),
              acc[r]);
      }
    }
    for (int r = 0; r < kRecords; ++r)
      std::memcpy(out + static_cast<std::size_t>(r) * out_stride, acc[r], sizeof(acc[r]));
  }
};

template <class Block>
struct MatrixProduct<SuperBlocks<Block>> {
  using Family = SuperBlocks<Block>;
  using Expanded = typename Family::template Expanded<1>;
  static constexpr std::size_t kUnit = 8 * kVector;  // codes of 32 k

  static void expand(const std::byte* panel, std::size_t k, std::byte* to) {
    Expanded::expand(panel, k, to);
    for (std::size_t g = 0; g < k / 256; ++g)
      for (std::size_t u = 0; u < 8; ++u)
        join_words(to + g * Expanded::kGroup + Expanded::kCodes + u * kUnit);
  }

  template <int kHalf, int kRecords>
  TYTO_INLINE static void add_sub_blocks(std::int32_t (&totals)[kRecords][kLanes],
                                         const std::byte* codes, const std::byte* scales,
                                         const Records& a, std::size_t unit) {
    if constexpr (kHalf < Family::kPerUnit) {
      Ints sums[kRecords];
      multiply_matrices<Family::kVectors>(codes + kHalf * Family::kVectors * kVector,
                                          a.first + unit * 32 + kHalf * 16, a.stride, sums);
      const Ints scale = load_ints(scales + kHalf * kVector);
      TYTO_UNROLL
      for (int r = 0; r < kRecords; ++r) {
        const Ints start = Family::template start<kHalf>(a.sum_pair(r, unit)).sum();
        store(load_ints(totals[r]) + (start + sums[r]) * scale, totals[r]);
      }
      add_sub_blocks<kHalf + 1>(totals, codes, scales, a, unit);
    }
  }

  template <int kRecords>
  static void multiply(const std::byte* expanded, std::size_t k, const Records& a, float* out,
                       std::size_t out_stride) {
    alignas(64) float acc[kRecords][kLanes] = {};
    const std::byte* group = expanded;
    for (std::size_t g = 0; g < k / 256; ++g, group += Expanded::kGroup) {
      alignas(64) std::int32_t totals[kRecords][kLanes] = {};
      for (std::size_t u = 0; u < 8; ++u)
        add_sub_blocks<0>(totals, group + Expanded::kCodes + u * kUnit,
                          group + Expanded::kScales + u * Family::kPerUnit * kVector, a, g * 8 + u);
      const Floats d = load_floats(group), dmin = load_floats(group + kVector);
      for (int r = 0; r < kRecords; ++r)
        store(Family::accumulate(load_floats(acc[r]), load_ints(totals[r]), d, dmin,
                                 group + Expanded::kMinimums, kVector, a, r, g),
              acc[r]);
    }
    for (int r = 0; r < kRecords; ++r)
      std::memcpy(out + static_cast<std::size_t>(r) * out_stride, acc[r], sizeof(acc[r]));
  }
};

template <class Family>
struct MatrixLinear {
  template <int kRecords>
  static int steps(const std::byte* expanded, std::size_t k, Records& a, int rows, float*& out,
                   std::size_t out_stride) {
    for (; rows >= kRecords; rows -= kRecords) {
      MatrixProduct<Family>::template multiply<kRecords>(expanded, k, a, out, out_stride);
      a.first += kRecords * a.stride;
      out += kRecords * out_stride;
    }
    return rows;
  }

  static void multiply(const std::byte* weights, int panels, std::size_t k, const Activations& x,
                       int rows, float* out, std::size_t out_stride, std::byte* scratch) {
    const auto without = QuantizedLinear<Family>::multiply;
    if (rows < kExpandRows) {
      without(weights, panels, k, x, rows, out, out_stride, scratch);
      return;
    }
    for (int p = 0; p < panels; ++p, weights += Family::panel_bytes(k), out += kLanes) {
      MatrixProduct<Family>::expand(weights, k, scratch);
      Records a(x, activation_layout(Family::kForm, k));
      float* to = out;
      int left = steps<8>(scratch, k, a, rows, to, out_stride);
      left = steps<2>(scratch, k, a, left, to, out_stride);
      if (left > 0) without(weights, 1, k, x.from(rows - left), left, to, out_stride, scratch);
    }
  }
};

template <class Block, int kVariant>
requires(kHasByteMatrices<kVariant>) struct Linear<SimpleBlocks<Block>, kVariant>
    : SimpleBlocks<Block> {
  static constexpr auto multiply = MatrixLinear<SimpleBlocks<Block>>::multiply;
};
template <class Block, int kVariant>
requires(kHasByteMatrices<kVariant>) struct Linear<SuperBlocks<Block>, kVariant>
    : SuperBlocks<Block> {
  static constexpr auto multiply = MatrixLinear<SuperBlocks<Block>>::multiply;
};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
