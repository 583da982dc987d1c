// What one instruction set (ISA) offers: a table of functions, chosen once when a backend is made.
// Every table computes the same definitions; a row's result depends on that row alone
// (docs/architecture.md, "Same bits").
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "src/quant/format.h"
#include "tyto/model.h"

namespace tyto::cpu {

// The form in which a weight format wants its activations. One row of activations is one record,
// made from the float row alone:
//   f32   k floats, zeros up to a multiple of 16
//   bf16  k values rounded to nearest even, zeros up to a multiple of 32; in slices of 256 k
//   a32   codes int8 [k'], scales float [k'/32], sums int16 [k'/16]; k' = k up to a multiple of 64,
//         zero beyond k. Per 32: scale = absmax / 127, codes rounded to nearest even in
//         [-127, 127]; sums of codes per 16
//   a256  the same with one scale per 256 and k' a multiple of 256; then sums32 int16 [k'/32], of
//         codes per 32: the 8 of a scale in the order 0 2 1 3 4 6 5 7, as pairs of them are
//         multiplied by the even and by the odd bytes of a word of minimums
// Each section starts at a multiple of 64 bytes from the start of the record. A record in one piece
// is an odd number of cache lines, so that one section of many records is spread over all sets of a
// cache.
//
// Products of many rows by tiles take a block of k of all rows at a time, and are fast where that
// is one piece of memory. So slices of all rows lie together: slice s of record r at
// r * bytes + s * slice_stride(rows).
enum class ActivationForm : std::uint8_t { f32, bf16, a32, a256 };
inline constexpr int kActivationForms = 4;

constexpr std::size_t round_up(std::size_t n, std::size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

constexpr std::size_t odd_lines(std::size_t bytes) { return (bytes + 63) / 64 * 64 | 64; }

inline constexpr std::size_t kSliceK = 256;

struct ActivationLayout {
  std::size_t k, scales, sums, sums32;  // byte offsets of the sections in a record
  std::size_t bytes;                    // of a slice of one record
  std::size_t slices = 1;

  constexpr std::size_t slice_stride(std::size_t rows) const { return odd_lines(rows * bytes); }
  constexpr std::size_t total_bytes(std::size_t rows) const { return slices * slice_stride(rows); }
};
constexpr ActivationLayout activation_layout(ActivationForm form, std::size_t width) {
  switch (form) {
    case ActivationForm::f32:
      return {round_up(width, 16), 0, 0, 0, odd_lines(round_up(width, 16) * 4)};
    case ActivationForm::bf16: {
      const std::size_t k = round_up(width, 32);
      return {k, 0, 0, 0, (k < kSliceK ? k : kSliceK) * 2, round_up(k, kSliceK) / kSliceK};
    }
    default:
      break;
  }
  const std::size_t group = form == ActivationForm::a32 ? 32 : 256;
  const std::size_t k = round_up(width, form == ActivationForm::a32 ? 64 : 256);
  const std::size_t scales = k;  // k is a multiple of 64
  const std::size_t sums = scales + round_up(k / group * 4, 64);
  const std::size_t sums32 = sums + round_up(k / 16 * 2, 64);
  const std::size_t end = sums32 + (form == ActivationForm::a32 ? 0 : round_up(k / 32 * 2, 64));
  return {k, scales, sums, sums32, odd_lines(end)};
}

// Records of many rows.
struct Activations {
  const std::byte* first;
  std::size_t stride, slice_stride;
  bool one_stream = false;  // how weights are asked for (streams.h)

  constexpr Activations from(int row) const {
    return {first + static_cast<std::size_t>(row) * stride, stride, slice_stride, one_stream};
  }
};

// Of many rows, how many, and how many outputs, are best multiplied by one call.
struct TaskShape {
  int rows = 256, columns = 64;
};

// One weight format on one ISA. Weights are packed in panels of `panel_rows` output rows; one
// layout serves single-row and many-row multiplication.
struct LinearKernel {
  const quant::Format* format;
  ActivationForm form;
  int panel_rows;                             // 16 (AVX-512), 8 (AVX2, NEON), 1 (scalar)
  std::size_t (*panel_bytes)(std::size_t k);  // a multiple of 64
  // Packs `rows` (1 to panel_rows) consecutive file rows; missing rows are zero.
  void (*pack)(const std::byte* file_rows, int rows, std::size_t k, std::byte* panel);
  // The exact dequantized values of one row of a panel, for embeddings. out: [k]
  void (*unpack_row)(const std::byte* panel, int row, std::size_t k, float* out);
  // out[r * out_stride + p * panel_rows + i] = dot(activations row r, row i of panel p), for r in
  // [0, rows), p in [0, panels). scratch: scratch_bytes(k), 64-byte aligned.
  void (*multiply)(const std::byte* weights, int panels, std::size_t k, const Activations& x,
                   int rows, float* out, std::size_t out_stride, std::byte* scratch);
  std::size_t (*scratch_bytes)(std::size_t k);
  TaskShape task = {};
};

}  // namespace tyto::cpu
