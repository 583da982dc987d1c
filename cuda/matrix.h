// Weight matrices and activations in device memory, and what can be done with them. One
// MatrixFormat per weight format, written by the build from src/quant/<format>/cuda.cuh.
//
// A quantized row is cut into units of 32 values. Each part of a unit lies in a plane of its own,
// [row][unit], so that the lanes of a warp, which take one unit each, read adjacent bytes:
//   low      16 bytes: byte i has the low 4 bits of value i, and of value 16 + i above them; of
//            8-bit formats 32 signed bytes
//   high     5 bits: a word whose bit i is the fifth of value i; 6 bits: two words, the upper bits
//            of value 16 h + 4 i + b at bits 2 i and 2 i + 1 of byte b of word h
//   scales   simple blocks: half d, and half m where there is one; super-blocks, once for 8 units:
//            16 bytes, d, dmin and sub-scales as in the file (Q4_K, Q5_K) or the sub-scales (Q6_K)
//   factors  Q6_K: half d, once for 8 units
// A row of floats is in plane low as it is in the file, with zeros up to a multiple of 8.
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "cuda/step.h"
#include "src/quant/format.h"

namespace tyto::cuda {

inline constexpr int kUnit = 32;
inline constexpr int kMostRowsAtOnce = 8;  // of records, that share what is read of a matrix
inline constexpr int kPlanes = 4;
enum PlaneIndex { kLow, kHigh, kScales, kFactors };

struct Plane {
  std::size_t offset = 0, row_bytes = 0;
};
struct MatrixLayout {
  Plane planes[kPlanes];
  std::size_t bytes = 0;
};

// Rows [first_row, first_row + rows) of a matrix.
struct MatrixView {
  const std::byte* planes[kPlanes];
  int width, first_row, rows;
};

// Rows of activations in the forms that matrices ask for; null: not wanted. Behind the width are
// zeros, up to `stride`, a multiple of 32.
struct Records {
  float* floats = nullptr;       // [row][stride]
  std::int8_t* codes = nullptr;  // [row][stride], rounded to multiples of their unit's scale
  float* scales = nullptr;       // [row][stride / 32]: the largest magnitude / 127
  std::int16_t* sums = nullptr;  // [row][stride / 16], of codes
  int stride = 0;
};

// out[r * stride + o] = dot(record r, matrix row o) + bias[o], or adds it; for the first *count
// records.
struct Destination {
  const std::int32_t* count;
  const float* bias;  // null: none
  float* out;
  int stride;
  bool add;
};

struct MatrixFormat {
  const quant::Format* format;
  bool quantized;  // takes codes; else floats
  MatrixLayout (*layout)(std::size_t rows, std::size_t width);
  // One row of a file to the same row of each plane, on the host.
  void (*pack_row)(const std::byte* row, std::size_t width, std::byte* const (&planes)[kPlanes]);
  // `rows`: at most so many records are there.
  cudaError_t (*multiply)(const MatrixView&, const Records&, const Destination&, int rows,
                          cudaStream_t);
  // stream[row] = table[token], or a row of StepView::hidden where there is no token; [row][width].
  // With positions: stream[row] += table[position] where there is a token.
  cudaError_t (*embed)(const MatrixView& table, bool positions, const StepView&, float* stream,
                       int rows, cudaStream_t);
};

// In the order of their names; a format may have none.
std::span<const MatrixFormat* const> matrix_formats() noexcept;
const MatrixFormat* find_matrix_format(const quant::Format* format) noexcept;  // null: unknown

}  // namespace tyto::cuda
