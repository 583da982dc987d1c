// Linear kernels for formats of simple blocks: 32 k share a scale d (and a minimum m).
//   panel        SimplePanels (panels.h)
//   activations  a32
//   per block    product = sum of code * activation - offset * sum of activations
//                acc = fma(float(product), d * scale, acc), then with a minimum
//                acc = fma(m, scale * sum of activations, acc)
#pragma once
#include "cpu/kernels/records-inl.h"
// then:
#include "cpu/kernels/codes-inl.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

template <class B>
struct SimpleBlocks : SimplePanels<B, kLanes, kSignedBytes> {
  using Block = B;
  using Layout = SimplePanels<B, kLanes, kSignedBytes>;
  using Layout::blocks, Layout::panel_bytes, Layout::scales, Layout::codes;
  using Layout::kMinimum, Layout::kGroupBlocks, Layout::kHalves, Layout::kGroupBytes;
  static constexpr int kBits = Block::kBits;
  static constexpr int kOffset = kBits == 8 && kSignedBytes ? 0 : Block::kOffset;
  static constexpr ActivationForm kForm = ActivationForm::a32;

  static std::size_t steps(std::size_t k) { return blocks(k); }

  // What follows a block's integer product: acc and its place among the activations.
  TYTO_INLINE static Floats accumulate(Floats acc, Ints product, Floats d, Floats m, Ints sum_pair,
                                       float scale) {
    acc = fma(to_floats(product), d * broadcast(scale), acc);
    if constexpr (kMinimum) {
      const Ints sum = multiply_pairs(sum_pair, broadcast(halves(1, 1)));
      acc = fma(m, broadcast(scale) * to_floats(sum), acc);
    }
    return acc;
  }
  TYTO_INLINE static Dot<kBits> start(Ints sum_pair) {
    return start_dot<kBits>(kOffset == 0
                                ? broadcast(0)
                                : multiply_pairs(sum_pair, broadcast(halves(-kOffset, -kOffset))));
  }

  // Block b of kPanels panels times kRows activation rows, straight from the packed codes.
  template <int kPanels, int kRows>
  TYTO_INLINE static void add_step(Floats (&acc)[kPanels][kRows], const std::byte* panels,
                                   std::size_t panel_stride, std::size_t b, const Records& a) {
    Dot<kBits> dots[kPanels][kRows];
    TYTO_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Dot<kBits> first = start(a.sum_pair(r, b));
      TYTO_UNROLL
      for (int p = 0; p < kPanels; ++p) dots[p][r] = first;
    }
    TYTO_UNROLL
    for (std::size_t p = 0; p < kPanels; ++p)
      prefetch<kGroupBytes / kGroupBlocks>(codes(panels + p * panel_stride, b), a.asking);
    add_products<8>(dots, codes(panels, b), panel_stride, a.first + b * 32, a.stride);
    TYTO_UNROLL
    for (std::size_t p = 0; p < kPanels; ++p) {
      const std::byte* const d_and_m = scales(panels + p * panel_stride, b);
      const Floats d = load_halves(d_and_m), m = kMinimum ? load_halves(d_and_m + kHalves) : d;
      TYTO_UNROLL
      for (int r = 0; r < kRows; ++r)
        acc[p][r] = accumulate(acc[p][r], dots[p][r].sum(), d, m, a.sum_pair(r, b), a.scale(r, b));
    }
  }

  // Many rows: kPanels panels are expanded to a byte per code and f32 scales in scratch. Per block:
  // scales [kPanels][lane], minimums likewise, codes [8][kPanels][lane].
  template <int kPanels>
  struct Expanded {
    static constexpr std::size_t kCodes = 2 * kPanels * kVector;
    static constexpr std::size_t kBlock = kCodes + 8 * kPanels * kVector;

    static void expand(const std::byte* panels, std::size_t k, std::byte* scratch) {
      for (std::size_t b = 0; b < blocks(k); ++b, scratch += kBlock)
        for (std::size_t p = 0; p < kPanels; ++p) {
          const std::byte* panel = panels + p * panel_bytes(k);
          store(load_halves(scales(panel, b)), reinterpret_cast<float*>(scratch + p * kVector));
          if constexpr (kMinimum)
            store(load_halves(scales(panel, b) + kHalves),
                  reinterpret_cast<float*>(scratch + (kPanels + p) * kVector));
          expand_codes<kBits>(codes(panel, b), scratch + kCodes + p * kVector, kPanels * kVector);
        }
    }

    template <int kRows>
    static void multiply(const std::byte* expanded, std::size_t k, const Records& a, float* out,
                         std::size_t out_stride) {
      alignas(64) float acc[kRows][kPanels][kLanes] = {};
      const std::byte* block = expanded;
      for (std::size_t b = 0; b < blocks(k); ++b, block += kBlock) {
        Dot<kBits> dots[kRows][kPanels];
        TYTO_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const Dot<kBits> first = start(a.sum_pair(r, b));
          TYTO_UNROLL
          for (int p = 0; p < kPanels; ++p) dots[r][p] = first;
        }
        add_expanded<8>(dots, block + kCodes, a.first + b * 32, a.stride);
        TYTO_UNROLL
        for (int r = 0; r < kRows; ++r) {
          TYTO_UNROLL
          for (int p = 0; p < kPanels; ++p) {
            const Floats d = load_floats(block + p * kVector),
                         m = load_floats(block + (kPanels + p) * kVector);
            store(accumulate(load_floats(acc[r][p]), dots[r][p].sum(), d, m, a.sum_pair(r, b),
                             a.scale(r, b)),
                  acc[r][p]);
          }
        }
      }
      for (int r = 0; r < kRows; ++r)
        std::memcpy(out + static_cast<std::size_t>(r) * out_stride, acc[r], sizeof(acc[r]));
    }
  };

  static std::size_t scratch_bytes(std::size_t k) {
    return kExpandRows == 0 ? 0 : blocks(k) * Expanded<2>::kBlock;
  }
};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
