// Weight codes of panels (panels.h) as vectors.
#pragma once
#include "cpu/kernels/panels.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

constexpr std::size_t kVector = kLanes * 4;  // bytes

template <int kBits>
struct Codes : PanelCodes<kBits, kLanes, kSignedBytes> {
  // Vector v of 8, a code to a byte.
  template <int v>
  TYTO_INLINE static Bytes get(const std::byte* from) {
    if constexpr (kBits == 8) {
      return load_bytes(from + v * kVector);
    } else {
      Bytes low = load_bytes(from + v % 4 * kVector);
      if constexpr (v >= 4) low = shift_right<4>(low);
      low = low & 0x0f;
      if constexpr (kBits == 5) return low | move_to_bit_4<v>(load_bytes(from + 4 * kVector), 0x10);
      if constexpr (kBits == 6)
        return low | move_to_bit_4<v % 4 * 2>(load_bytes(from + (4 + v / 4) * kVector), 0x30);
      return low;
    }
  }

 private:
  template <int kFrom>
  TYTO_INLINE static Bytes move_to_bit_4(Bytes bits, std::uint8_t mask) {
    if constexpr (kFrom < 4)
      return shift_left<4 - kFrom>(bits) & mask;
    else
      return shift_right<kFrom - 4>(bits) & mask;
  }
};

// Adds the products of 4 * kCount k of kPanels panels, whose codes lie panel_stride bytes apart,
// with those of kRows activation rows.
template <int kCount, int v = 0, int kFirst = 0, int kBits, int kPanels, int kRows>
TYTO_INLINE void add_products(Dot<kBits> (&dots)[kPanels][kRows], const std::byte* codes,
                              std::size_t panel_stride, const std::byte* activations,
                              std::size_t stride) {
  if constexpr (v < kCount) {
    Bytes weights[kPanels];
    TYTO_UNROLL
    for (int p = 0; p < kPanels; ++p)
      weights[p] = Codes<kBits>::template get<kFirst + v>(codes + static_cast<std::size_t>(p) *
                                                                      panel_stride);
    TYTO_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Bytes x = broadcast_bytes(activations + static_cast<std::size_t>(r) * stride + 4 * v);
      TYTO_UNROLL
      for (int p = 0; p < kPanels; ++p) dots[p][r].template add<v>(weights[p], x);
    }
    add_products<kCount, v + 1, kFirst>(dots, codes, panel_stride, activations, stride);
  }
}

// The same from expanded codes [kCount][kPanels][lane].
template <int kCount, int v = 0, int kBits, int kRows, int kPanels>
TYTO_INLINE void add_expanded(Dot<kBits> (&dots)[kRows][kPanels], const std::byte* codes,
                              const std::byte* activations, std::size_t stride) {
  if constexpr (v < kCount) {
    Bytes weights[kPanels];
    TYTO_UNROLL
    for (int p = 0; p < kPanels; ++p)
      weights[p] = load_bytes(codes + static_cast<std::size_t>(v * kPanels + p) * kVector);
    TYTO_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Bytes activation =
          broadcast_bytes(activations + static_cast<std::size_t>(r) * stride + 4 * v);
      TYTO_UNROLL
      for (int p = 0; p < kPanels; ++p) dots[r][p].template add<v>(weights[p], activation);
    }
    add_expanded<kCount, v + 1>(dots, codes, activations, stride);
  }
}

// Writes the codes of 32 k, a byte each, `step` bytes from vector to vector.
template <int kBits, int v = 0>
TYTO_INLINE void expand_codes(const std::byte* codes, std::byte* to, std::size_t step) {
  if constexpr (v < 8) {
    store(Codes<kBits>::template get<v>(codes), to + v * step);
    expand_codes<kBits, v + 1>(codes, to, step);
  }
}

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
