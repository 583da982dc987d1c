// Linear kernels for float formats: one fma per weight, k ascending.
//   panel        FloatLanes (panels.h)
//   activations  f32; or bf16 where the ISA has a dot product of BF16 pairs: acc += pair . pair, as
//                that defines it
#pragma once
#include <algorithm>

#include "cpu/kernels/panels.h"
#include "cpu/kernels/records-inl.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

// kLanes weights of one k, as floats; BF16: of kSteps = 2.
template <class Value>
struct FloatLoad {
  static constexpr std::size_t kBytes = kLanes * sizeof(Value), kSteps = 1;
  template <int>
  TYTO_INLINE static Floats get(const std::byte* from) {
    if constexpr (sizeof(Value) == 4)
      return load_floats(from);
    else
      return load_halves(from);
  }
};
template <>
struct FloatLoad<quant::BF16> {
  static constexpr std::size_t kBytes = kLanes * 4, kSteps = 2;
  template <int kHalf>
  TYTO_INLINE static Floats get(const std::byte* from) {
    return high_halves(kHalf == 0 ? shift_left<16>(load_bytes(from)) : load_bytes(from));
  }
};

template <class V, bool kPairs>  // kPairs: BF16 pairs by the ISA's dot product
struct FloatPanels : FloatLanes<V, kLanes> {
  using Layout = FloatLanes<V, kLanes>;
  using Layout::vectors, Layout::panel_bytes;
  using Value = V;
  using Load = FloatLoad<Value>;
  static constexpr ActivationForm kForm = kPairs ? ActivationForm::bf16 : ActivationForm::f32;
  static constexpr std::size_t kStepBytes =
      kPairs ? 4 : Load::kSteps * 4;  // of activations, per vector of weights

  template <int kStep, int kRows, int kPanels>
  TYTO_INLINE static void add(Floats (&acc)[kRows][kPanels], const std::byte* weights,
                              std::size_t panel_stride, const std::byte* activations,
                              std::size_t stride) {
    if constexpr (kStep < Load::kSteps) {
      Floats w[kPanels];
      TYTO_UNROLL
      for (int p = 0; p < kPanels; ++p)
        w[p] = Load::template get<kStep>(weights + static_cast<std::size_t>(p) * panel_stride);
      TYTO_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const Floats x =
            broadcast_float(activations + static_cast<std::size_t>(r) * stride + kStep * 4);
        TYTO_UNROLL
        for (int p = 0; p < kPanels; ++p) acc[r][p] = fma(w[p], x, acc[r][p]);
      }
      add<kStep + 1>(acc, weights, panel_stride, activations, stride);
    }
  }
  template <int kRows, int kPanels>
  TYTO_INLINE static void add_pairs(Floats (&acc)[kRows][kPanels], const std::byte* weights,
                                    std::size_t panel_stride, const std::byte* activations,
                                    std::size_t stride) {
    Bytes w[kPanels];
    TYTO_UNROLL
    for (int p = 0; p < kPanels; ++p)
      w[p] = load_bytes(weights + static_cast<std::size_t>(p) * panel_stride);
    TYTO_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Bytes x = broadcast_bytes(activations + static_cast<std::size_t>(r) * stride);
      TYTO_UNROLL
      for (int p = 0; p < kPanels; ++p) acc[r][p] = dot_bf16(acc[r][p], w[p], x);
    }
  }

  static constexpr std::size_t kSliceVectors =  // of weights
      kPairs ? kSliceK / Layout::kSteps : static_cast<std::size_t>(-1);

  // kPanels panels times kRows activation rows.
  template <int kRows, int kPanels>
  static void multiply_tile(const std::byte* panels, std::size_t k, const Activations& x,
                            Asking asking, float* out, std::size_t out_stride) {
    Floats acc[kRows][kPanels];
    TYTO_UNROLL
    for (int r = 0; r < kRows; ++r) {
      TYTO_UNROLL
      for (int p = 0; p < kPanels; ++p) acc[r][p] = broadcast(0.0f);
    }
    const std::size_t panel_stride = panel_bytes(k);
    const std::byte* slice = x.first;
    for (std::size_t left = vectors(k); left > 0; slice += x.slice_stride) {
      const std::size_t count = std::min(left, kSliceVectors);
      for (std::size_t i = 0; i < count; ++i, panels += Load::kBytes) {
        TYTO_UNROLL
        for (std::size_t p = 0; p < kPanels; ++p)
          prefetch<Load::kBytes>(panels + p * panel_stride, asking);
        if constexpr (kPairs)
          add_pairs(acc, panels, panel_stride, slice + i * kStepBytes, x.stride);
        else
          add<0>(acc, panels, panel_stride, slice + i * kStepBytes, x.stride);
      }
      left -= count;
    }
    TYTO_UNROLL
    for (int r = 0; r < kRows; ++r) {
      TYTO_UNROLL
      for (int p = 0; p < kPanels; ++p)
        store(acc[r][p], out + static_cast<std::size_t>(r) * out_stride + p * kLanes);
    }
  }

  template <int kRows, int kPanels>
  static int tiles(const std::byte* panels, std::size_t k, const Activations& x, int first,
                   int rows, float* out, std::size_t out_stride) {
    int r = first;
    const Asking asking = asking_of(x, rows);
    for (; r + kRows <= rows; r += kRows)
      multiply_tile<kRows, kPanels>(panels, k, x.from(r), r == 0 ? asking : after(asking),
                                    out + static_cast<std::size_t>(r) * out_stride, out_stride);
    return r;
  }
  template <int kPanels>
  static void all_rows(const std::byte* panels, std::size_t k, const Activations& x, int rows,
                       float* out, std::size_t out_stride) {
    int r = 0;
    if constexpr (kPanels <= 2)
      r = tiles<kFloatTileRows, kPanels>(panels, k, x, r, rows, out, out_stride);
    r = tiles<4, kPanels>(panels, k, x, r, rows, out, out_stride);
    r = tiles<2, kPanels>(panels, k, x, r, rows, out, out_stride);
    tiles<1, kPanels>(panels, k, x, r, rows, out, out_stride);
  }

  static void multiply(const std::byte* weights, int panels, std::size_t k, const Activations& x,
                       int rows, float* out, std::size_t out_stride, std::byte*) {
    const std::size_t bytes = panel_bytes(k);
    int p = 0;
    // Few rows: four panels at once, since each is a chain of dependent additions.
    if (rows < kFloatTileRows)
      for (; p + 4 <= panels; p += 4, weights += 4 * bytes, out += 4 * kLanes)
        all_rows<4>(weights, k, x, rows, out, out_stride);
    for (; p + 2 <= panels; p += 2, weights += 2 * bytes, out += 2 * kLanes)
      all_rows<2>(weights, k, x, rows, out, out_stride);
    if (p < panels) all_rows<1>(weights, k, x, rows, out, out_stride);
  }
  static std::size_t scratch_bytes(std::size_t) { return 0; }
};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
