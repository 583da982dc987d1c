// The kernels of the vector ISAs, one source for all of them. What an ISA provides (cpu/simd/*.h),
// in its namespace:
//   kLanes                      rows of a panel: 32-bit lanes of a vector
//   Bytes, Ints, Floats         a vector as 4 bytes per lane, one 32-bit number, one float; with
//                               loads, stores, arithmetic, shifts and conversions
//   Dot<kBits>, kSignedBytes    sums of products of weight codes and activation codes
//   NibbleDot                   the same for 32 k of 4 bits, times a scale: one number to a lane,
//   or
//                               in both halves of it (kScaleInHalves; byte_in_halves makes it)
//   even_bytes, odd_bytes       bytes 0 and 2, or 1 and 3, of every lane in its halves
//   kHasBf16Dot<kVariant>       whether dot_bf16 exists on the machines that a variant is for
//   kPackedRows                 activation rows that share two panels of packed codes, as many as
//                               registers hold sums; so kTileRows of expanded ones, kFloatTileRows
//                               of floats
//   kExpandRows                 from so many rows on, quantized weights are expanded to a byte per
//                               code first; 0: never
#pragma once
#include "cpu/kernels/float_rows-inl.h"
#include "cpu/kernels/simple_blocks-inl.h"
#include "cpu/kernels/super_blocks-inl.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

// Packed codes are read of four panels at once for up to three rows (of one on the machines of
// streams.h), of two for more; ISAs that expand do so for many rows, two panels at a time. The bits
// are the same either way.
template <class Family>
struct QuantizedLinear {
  // Several panels are as many streams from memory.
  template <int kPanels, int kRows>
  static void multiply_panels(const std::byte* panels, std::size_t k, const Records& a, float* out,
                              std::size_t out_stride) {
    const std::size_t bytes = Family::panel_bytes(k);
    Floats acc[kPanels][kRows];
    TYTO_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      TYTO_UNROLL
      for (int r = 0; r < kRows; ++r) acc[p][r] = broadcast(0.0f);
    }
    for (std::size_t step = 0; step < Family::steps(k); ++step)
      Family::add_step(acc, panels, bytes, step, a);
    TYTO_UNROLL
    for (int r = 0; r < kRows; ++r) {
      TYTO_UNROLL
      for (int p = 0; p < kPanels; ++p)
        store(acc[p][r], out + static_cast<std::size_t>(r) * out_stride + p * kLanes);
    }
  }
  template <int kPanels, int kRows>
  static int packed_steps(const std::byte* panels, std::size_t k, Records& a, int rows, float*& out,
                          std::size_t out_stride) {
    for (; rows >= kRows; rows -= kRows) {
      multiply_panels<kPanels, kRows>(panels, k, a, out, out_stride);
      a.first += kRows * a.stride;
      a.asking = after(a.asking);
      out += kRows * out_stride;
    }
    return rows;
  }
  template <int kPanels>
  static void multiply_packed(const std::byte* panels, std::size_t k, Records a, int rows,
                              float* out, std::size_t out_stride) {
    if constexpr (kPanels <= 2) {
      rows = packed_steps<kPanels, kPackedRows>(panels, k, a, rows, out, out_stride);
      rows = packed_steps<kPanels, 4>(panels, k, a, rows, out, out_stride);
      rows = packed_steps<kPanels, 3>(panels, k, a, rows, out, out_stride);
    }
    rows = packed_steps<kPanels, 2>(panels, k, a, rows, out, out_stride);
    packed_steps<kPanels, 1>(panels, k, a, rows, out, out_stride);
  }

  template <int kPanels, int kRows>
  static int expanded_steps(const std::byte* expanded, std::size_t k, Records& a, int rows,
                            float*& out, std::size_t out_stride) {
    for (; rows >= kRows; rows -= kRows) {
      Family::template Expanded<kPanels>::template multiply<kRows>(expanded, k, a, out, out_stride);
      a.first += kRows * a.stride;
      out += kRows * out_stride;
    }
    return rows;
  }
  template <int kPanels>
  static void multiply_expanded(const std::byte* panels, std::size_t k, Records a, int rows,
                                float* out, std::size_t out_stride, std::byte* scratch) {
    Family::template Expanded<kPanels>::expand(panels, k, scratch);
    rows = expanded_steps<kPanels, kTileRows>(scratch, k, a, rows, out, out_stride);
    rows = expanded_steps<kPanels, 4>(scratch, k, a, rows, out, out_stride);
    expanded_steps<kPanels, 1>(scratch, k, a, rows, out, out_stride);
  }

  static void multiply(const std::byte* weights, int panels, std::size_t k, const Activations& x,
                       int rows, float* out, std::size_t out_stride,
                       [[maybe_unused]] std::byte* scratch) {
    Records a(x, activation_layout(Family::kForm, k));
    a.asking = asking_of(x, rows);
    const std::size_t bytes = Family::panel_bytes(k);
    int p = 0;
    if constexpr (kExpandRows > 0)
      if (rows >= kExpandRows)
        for (; p + 2 <= panels; p += 2, weights += 2 * bytes, out += 2 * kLanes)
          multiply_expanded<2>(weights, k, a, rows, out, out_stride, scratch);
    if (rows > kOneStreamRows)
      for (; p + 2 <= panels; p += 2, weights += 2 * bytes, out += 2 * kLanes) {
        if (a.asking == Asking::second_level && p + 4 <= panels)
          prefetch_beginning(weights + 3 * bytes);
        multiply_packed<2>(weights, k, a, rows, out, out_stride);
      }
    else if (a.asking != Asking::nothing)
      for (; p + 4 <= panels; p += 4, weights += 4 * bytes, out += 4 * kLanes)
        multiply_packed<4>(weights, k, a, rows, out, out_stride);
    for (; p < panels; ++p, weights += bytes, out += kLanes)
      multiply_packed<1>(weights, k, a, rows, out, out_stride);
  }
};

// The kernels of a family; a machine's extras (kVariant, cpu/linear.h) pick among them.
template <class Family, int kVariant>
struct Linear : Family {
  static constexpr auto multiply = QuantizedLinear<Family>::multiply;
};
template <class Value>
struct FloatRows;
template <class Value, int kVariant>
struct Linear<FloatRows<Value>, kVariant> : FloatPanels<Value, false> {};
template <int kVariant>
struct Linear<FloatRows<quant::BF16>, kVariant> : FloatPanels<quant::BF16, kHasBf16Dot<kVariant>> {
};

template <class L>
constexpr TaskShape task_shape() {
  if constexpr (requires { L::kTask; })
    return L::kTask;
  else
    return {};
}
template <class Family, int kVariant>
constexpr LinearKernel linear_kernel(const quant::Format& format) {
  using L = Linear<Family, kVariant>;
  return {&format,       L::kForm,    kLanes,           L::panel_bytes, L::pack,
          L::unpack_row, L::multiply, L::scratch_bytes, task_shape<L>()};
}

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
