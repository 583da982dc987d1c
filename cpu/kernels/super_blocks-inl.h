// Linear kernels for formats of super-blocks: 256 k share a scale d, and sub-blocks have integer
// scales (and minimums).
//   panel        SuperPanels (panels.h)
//   activations  a256
//   per group    product = sum over sub-blocks of
//                          sub-scale * (sum of code * activation - offset * sum of activations)
//                acc = fma(float(product), d * scale, acc), then with minimums
//                least = sum over sub-blocks of minimum * sum of activations
//                acc = fma(-float(least), dmin * scale, acc)
#pragma once
#include "cpu/kernels/records-inl.h"
// then:
#include "cpu/kernels/codes-inl.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

// Byte i of each lane, for all four i: as a 32-bit number, or as a 16-bit number in both halves.
template <bool kInHalves, int i = 0>
TYTO_INLINE void spread_bytes(Bytes four, std::byte* to, std::size_t step) {
  if constexpr (i < 4) {
    if constexpr (kInHalves)
      store(byte_in_halves<i>(four), to + i * step);
    else
      store(byte_of_lane<i>(four), to + i * step);
    spread_bytes<kInHalves, i + 1>(four, to, step);
  }
}

// The 6-bit scales and minimums of 8 sub-blocks (quant::unpack_sub_scales): scales one to a lane,
// or to both of its halves; minimums two to a lane, in the order of sums32 (kernel_table.h);
// vectors `step` bytes apart.
template <bool kInHalves>
TYTO_INLINE void spread_sub_scales(const std::byte* packed, std::byte* scales, std::byte* minimums,
                                   std::size_t step) {
  const Bytes a = load_bytes(packed), b = load_bytes(packed + kVector),
              c = load_bytes(packed + 2 * kVector);
  spread_bytes<kInHalves>(a & 0x3f, scales, step);
  spread_bytes<kInHalves>((c & 0x0f) | (shift_right<2>(a) & 0x30), scales + 4 * step, step);
  const Bytes first = b & 0x3f, second = (shift_right<4>(c) & 0x0f) | (shift_right<2>(b) & 0x30);
  store(even_bytes(first), minimums);
  store(odd_bytes(first), minimums + step);
  store(even_bytes(second), minimums + 2 * step);
  store(odd_bytes(second), minimums + 3 * step);
}

template <class B>
struct SuperBlocks : SuperPanels<B, kLanes, kSignedBytes> {
  using Block = B;
  using Layout = SuperPanels<B, kLanes, kSignedBytes>;
  using Layout::kHalves, Layout::kSubScales, Layout::kHeader, Layout::kGroupBytes;
  using Layout::kMinimum, Layout::kPerUnit, Layout::kSubBlocks, Layout::panel_bytes;
  static constexpr int kBits = Block::kBits, kOffset = Block::kOffset;
  static constexpr int kVectors = 8 / kPerUnit;  // of codes, in a sub-block
  static constexpr ActivationForm kForm = ActivationForm::a256;

  static std::size_t steps(std::size_t k) { return k / 256; }

  // Scales [kSubBlocks][lane] and pairs of minimums [4][lane] of a group, with `step` bytes between
  // vectors.
  template <bool kInHalves = false>
  TYTO_INLINE static void spread(const std::byte* group, std::byte* scales, std::byte* minimums,
                                 std::size_t step) {
    if constexpr (kMinimum) {
      spread_sub_scales<kInHalves>(group + kSubScales, scales, minimums, step);
    } else {
      for (std::size_t s = 0; s < kSubBlocks; ++s)
        store(load_int8(group + kSubScales + s * kLanes), scales + s * step);
    }
  }
  // The start of a sub-block's product: the sum of 16 activations is half kHalf of its pair.
  template <int kHalf>
  TYTO_INLINE static Dot<kBits> start(Ints sum_pair) {
    if constexpr (kMinimum) return start_dot<kBits>(broadcast(0));
    return start_dot<kBits>(multiply_pairs(
        sum_pair, broadcast(kHalf == 0 ? halves(-kOffset, 0) : halves(0, -kOffset))));
  }
  // The end of a group. minimums: pairs, [4][lane], `step` bytes from vector to vector.
  TYTO_INLINE static Floats accumulate(Floats acc, Ints total, Floats d, Floats dmin,
                                       const std::byte* minimums, std::size_t step,
                                       const Records& a, int r, std::size_t group) {
    const Floats scale = broadcast(a.scale(r, group));
    acc = fma(to_floats(total), d * scale, acc);
    if constexpr (kMinimum) {
      Ints sum = broadcast(0);
      TYTO_UNROLL
      for (std::size_t i = 0; i < 4; ++i)
        sum = add_pairs(sum, load_ints(minimums + i * step), a.sum32_pair(r, group * 4 + i));
      acc = fnma(to_floats(sum), dmin * scale, acc);
    }
    return acc;
  }

  // Unit `unit` of 32 k of kPanels panels. scales: [kPerUnit][kPanels][lane]
  template <int kHalf, int kPanels, int kRows>
  TYTO_INLINE static void add_sub_block(Ints (&totals)[kPanels][kRows], const std::byte* codes,
                                        std::size_t panel_stride, const std::byte* scales,
                                        const Records& a, std::size_t unit) {
    if constexpr (kHalf < kPerUnit) {
      Dot<kBits> dots[kPanels][kRows];
      TYTO_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const Dot<kBits> first = start<kHalf>(a.sum_pair(r, unit));
        TYTO_UNROLL
        for (int p = 0; p < kPanels; ++p) dots[p][r] = first;
      }
      add_products<kVectors, 0, kHalf * kVectors>(dots, codes, panel_stride,
                                                  a.first + unit * 32 + kHalf * 16, a.stride);
      TYTO_UNROLL
      for (std::size_t p = 0; p < kPanels; ++p) {
        const Ints scale = load_ints(scales + (kHalf * kPanels + p) * kVector);
        TYTO_UNROLL
        for (int r = 0; r < kRows; ++r) totals[p][r] = totals[p][r] + dots[p][r].sum() * scale;
      }
      add_sub_block<kHalf + 1>(totals, codes, panel_stride, scales, a, unit);
    }
  }
  // The same for 4 bits without an offset, both nibbles of a vector in one pass.
  template <int kPanels, int kRows>
  TYTO_INLINE static void add_nibbles(Ints (&totals)[kPanels][kRows], const std::byte* codes,
                                      std::size_t panel_stride, const std::byte* scales,
                                      const Records& a, std::size_t unit) {
    NibbleDot dots[kPanels][kRows];
    TYTO_UNROLL
    for (int i = 0; i < kPanels * kRows; ++i) dots[i / kRows][i % kRows] = NibbleDot::zero();
    TYTO_UNROLL
    for (std::size_t v = 0; v < 4; ++v) {
      Bytes weights[kPanels];
      TYTO_UNROLL
      for (std::size_t p = 0; p < kPanels; ++p)
        weights[p] = load_bytes(codes + p * panel_stride + v * kVector);
      TYTO_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const std::byte* const x = a.row(r) + unit * 32 + v * 4;
        const Bytes low = broadcast_bytes(x), high = broadcast_bytes(x + 16);
        TYTO_UNROLL
        for (int p = 0; p < kPanels; ++p) dots[p][r].add(weights[p], low, high);
      }
    }
    TYTO_UNROLL
    for (std::size_t p = 0; p < kPanels; ++p) {
      const Ints scale = load_ints(scales + p * kVector);
      TYTO_UNROLL
      for (int r = 0; r < kRows; ++r) totals[p][r] = dots[p][r].add_scaled(totals[p][r], scale);
    }
  }

  // Group g of kPanels panels times kRows activation rows, straight from the packed codes.
  template <int kPanels, int kRows>
  TYTO_INLINE static void add_step(Floats (&acc)[kPanels][kRows], const std::byte* panels,
                                   std::size_t panel_stride, std::size_t g, const Records& a) {
    constexpr std::size_t kStep = kPanels * kVector;
    // One sub-block to a unit, and no offset. More sums than this, of two halves each, would not
    // fit the registers of AVX-512.
    constexpr bool kNibbles = kBits == 4 && kMinimum && kPanels * kRows <= 8;
    const std::byte* const groups = panels + g * kGroupBytes;
    alignas(64) std::byte scales[kSubBlocks * kStep], minimums[4 * kStep];
    TYTO_UNROLL
    for (std::size_t p = 0; p < kPanels; ++p) {
      const std::byte* const group = groups + p * panel_stride;
      spread<kNibbles && NibbleDot::kScaleInHalves>(group, scales + p * kVector,
                                                    minimums + p * kVector, kStep);
      prefetch<kHeader>(group, a.asking);
    }
    Ints totals[kPanels][kRows];
    TYTO_UNROLL
    for (int i = 0; i < kPanels * kRows; ++i) totals[i / kRows][i % kRows] = broadcast(0);
    for (std::size_t u = 0; u < 8; ++u) {
      const std::byte* const codes = groups + kHeader + u * Codes<kBits>::kBytes;
      const std::byte* const unit_scales = scales + u * kPerUnit * kStep;
      TYTO_UNROLL
      for (std::size_t p = 0; p < kPanels; ++p)
        prefetch<Codes<kBits>::kBytes>(codes + p * panel_stride, a.asking);
      if constexpr (kNibbles)
        add_nibbles(totals, codes, panel_stride, unit_scales, a, g * 8 + u);
      else
        add_sub_block<0>(totals, codes, panel_stride, unit_scales, a, g * 8 + u);
    }
    TYTO_UNROLL
    for (std::size_t p = 0; p < kPanels; ++p) {
      const std::byte* const group = groups + p * panel_stride;
      const Floats d = load_halves(group), dmin = load_halves(group + kHalves);
      TYTO_UNROLL
      for (int r = 0; r < kRows; ++r)
        acc[p][r] =
            accumulate(acc[p][r], totals[p][r], d, dmin, minimums + p * kVector, kStep, a, r, g);
    }
  }

  // Many rows: kPanels panels expanded to a byte per code. Per group, vectors [..][kPanels][lane]:
  // d and dmin as f32, scales [kSubBlocks], pairs of minimums [4], codes [64].
  template <int kPanels>
  struct Expanded {
    static constexpr std::size_t kStep = kPanels * kVector;
    static constexpr std::size_t kScales = 2 * kStep, kMinimums = kScales + kSubBlocks * kStep;
    static constexpr std::size_t kCodes = kMinimums + (kMinimum ? 4 * kStep : 0);
    static constexpr std::size_t kGroup = kCodes + 64 * kStep;

    static void expand(const std::byte* panels, std::size_t k, std::byte* scratch) {
      for (std::size_t g = 0; g < k / 256; ++g, scratch += kGroup)
        for (std::size_t p = 0; p < kPanels; ++p) {
          const std::byte* group = panels + p * panel_bytes(k) + g * kGroupBytes;
          std::byte* to = scratch + p * kVector;
          store(load_halves(group), reinterpret_cast<float*>(to));
          store(load_halves(group + kHalves), reinterpret_cast<float*>(to + kStep));
          spread(group, to + kScales, to + kMinimums, kStep);
          for (std::size_t u = 0; u < 8; ++u)
            expand_codes<kBits>(group + kHeader + u * Codes<kBits>::kBytes,
                                to + kCodes + u * 8 * kStep, kStep);
        }
    }

    template <int kHalf, int kRows>
    TYTO_INLINE static void add_sub_block(std::int32_t (&totals)[kRows][kPanels][kLanes],
                                          const std::byte* codes, const std::byte* scales,
                                          const Records& a, std::size_t unit) {
      if constexpr (kHalf < kPerUnit) {
        Dot<kBits> dots[kRows][kPanels];
        TYTO_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const Dot<kBits> first = start<kHalf>(a.sum_pair(r, unit));
          TYTO_UNROLL
          for (int p = 0; p < kPanels; ++p) dots[r][p] = first;
        }
        add_expanded<kVectors>(dots, codes + kHalf * kVectors * kStep,
                               a.first + unit * 32 + kHalf * 16, a.stride);
        TYTO_UNROLL
        for (int r = 0; r < kRows; ++r) {
          TYTO_UNROLL
          for (int p = 0; p < kPanels; ++p)
            store(load_ints(totals[r][p]) +
                      dots[r][p].sum() * load_ints(scales + kHalf * kStep + p * kVector),
                  totals[r][p]);
        }
        add_sub_block<kHalf + 1>(totals, codes, scales, a, unit);
      }
    }

    template <int kRows>
    static void multiply(const std::byte* expanded, std::size_t k, const Records& a, float* out,
                         std::size_t out_stride) {
      alignas(64) float acc[kRows][kPanels][kLanes] = {};
      const std::byte* group = expanded;
      for (std::size_t g = 0; g < k / 256; ++g, group += kGroup) {
        alignas(64) std::int32_t totals[kRows][kPanels][kLanes] = {};
        for (std::size_t u = 0; u < 8; ++u)
          add_sub_block<0>(totals, group + kCodes + u * 8 * kStep,
                           group + kScales + u * kPerUnit * kStep, a, g * 8 + u);
        for (int r = 0; r < kRows; ++r)
          for (std::size_t p = 0; p < kPanels; ++p) {
            const std::byte* at = group + p * kVector;
            store(accumulate(load_floats(acc[r][p]), load_ints(totals[r][p]), load_floats(at),
                             load_floats(at + kStep), at + kMinimums, kStep, a, r, g),
                  acc[r][p]);
          }
      }
      for (int r = 0; r < kRows; ++r)
        std::memcpy(out + static_cast<std::size_t>(r) * out_stride, acc[r], sizeof(acc[r]));
    }
  };

  static std::size_t scratch_bytes(std::size_t k) {
    return kExpandRows == 0 ? 0 : k / 256 * Expanded<2>::kGroup;
  }
};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
