// Weight matrices and activations in device memory, and what can be done with them. One
// MatrixFormat per weight format, written by the build from src/quant/<format>/cuda.cuh.
//
// A quantized row is cut into units of 32 values, with units of zeros up to a multiple of 8. Each
// part of a unit lies in a plane of its own, [row][unit], so that the lanes of a warp, which take
// one unit each, read adjacent bytes, and 8 units begin where 16 bytes do:
//   low      16 bytes: byte i has the low 4 bits of value i, and of value 16 + i above them; of
//            8-bit formats 32 signed bytes
//   high     5 bits: a word whose bit i is the fifth of value i; 6 bits: two words, the upper bits
//            of value 16 h + 4 i + b at bits 2 i and 2 i + 1 of byte b of word h
//   scales   simple blocks: half d, and half m where there is one; super-blocks, once for 8 units:
//            16 bytes, d, dmin and sub-scales as in the file (Q4_K, Q5_K) or the sub-scales (Q6_K)
//   factors  Q6_K: half d, once for 8 units
// A row of floats is in plane low as it is in the file, with zeros up to a multiple of 64.
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "cuda/step.h"
#include "src/quant/format.h"

namespace tyto::cuda {

inline constexpr int kUnit = 32;
inline constexpr int kGroup = 256;      // records are padded to multiples of it
inline constexpr int kFloatGroup = 64;  // rows of floats are
// How many groups a row of so many values has, with the zeros behind it.
template <class Count>
__host__ __device__ constexpr Count groups_of(Count width) {
  return (width + kGroup - 1) / kGroup;
}
template <class Count>
__host__ __device__ constexpr Count float_groups_of(Count width) {
  return (width + kFloatGroup - 1) / kFloatGroup;
}

inline constexpr int kPlanes = 4;
enum PlaneIndex { kLowPlane, kHighPlane, kScalePlane, kFactorPlane };

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

// Forms of activations, one or more of which a matrix asks for.
struct Forms {
  bool floats = false, halves = false, codes = false;

  constexpr void operator|=(const Forms& other) {
    floats |= other.floats;
    halves |= other.halves;
    codes |= other.codes;
  }
};

// Rows of activations in these forms; null: not wanted. Behind the width are zeros, up to `stride`,
// a multiple of kGroup.
struct Records {
  float* floats = nullptr;          // [row][stride]
  std::uint16_t* halves = nullptr;  // [row][stride], rounded to BF16
  std::int8_t* codes = nullptr;     // [row][stride], rounded to multiples of their unit's scale
  float* scales = nullptr;          // [row][stride / 32]: the largest magnitude / 127
  std::int16_t* sums = nullptr;     // [row][stride / 16], of codes
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

// Of a mixture of experts: records [first, first + count) are one expert's.
struct ExpertGroup {
  std::int32_t expert, first, count;
};

// Matrices of one format that multiply the same records, in one kernel.
struct Products {
  static constexpr int kMost = 3;
  struct Part {
    MatrixView matrix;
    Destination to;
  };
  Part parts[kMost];
  int count = 0;
  // Not null: matrices are those of expert 0, which the others' follow, and each group's records
  // are multiplied by its expert's; Destination::count does not matter.
  const ExpertGroup* groups = nullptr;  // [most_groups]
  int most_groups = 1;
};

// What a result may depend on besides its own row.
enum class Order : unsigned char {
  fastest,       // how many rows a step has decides which kernel computes it
  reproducible,  // nothing
};

// Rows [first, first + count) of a matrix as a file has them, in device memory.
struct FileRows {
  const std::byte* data;
  std::size_t row_bytes;
  int width, first, count;
  std::int32_t* not_finite;  // the least row with such a value, if that is less; null: not wanted
};

struct Normalize;  // blocks.h
struct Activate;

inline constexpr int kMostActivatedRows = 8;  // that multiply_activated takes
inline constexpr int kNormalizingBlocks = 2;  // of a kernel that normalizes rows, to a processor

struct MatrixFormat {
  const quant::Format* format;
  Forms (*forms)(Order);  // of activations
  MatrixLayout (*layout)(std::size_t rows, std::size_t width);
  cudaError_t (*pack)(const FileRows&, const MatrixLayout&, std::byte* matrix, cudaStream_t);
  // `rows`: at most so many records are there, of each expert where there are experts.
  cudaError_t (*multiply)(const Products&, const Records&, int rows, Order, cudaStream_t);
  // Up to how many rows of so many values blocks normalize for themselves.
  int (*normalized_rows)(int width);
  // Products with rows that are normalized on the way: nobody has to write Normalize::to.
  // `blocks`: at most so many, of kernels that normalize.
  cudaError_t (*multiply_normalized)(const Products&, const Normalize&, int rows, int blocks,
                                     cudaStream_t);
  // act(gate) * up as records, for up to kMostActivatedRows rows; up and gate are the parts. Rows
  // are normalized on the way up to normalized_rows, and else they are Normalize::to.
  cudaError_t (*multiply_activated)(const Products&, const Normalize&, const Activate&, int rows,
                                    int blocks, cudaStream_t);
  // stream[row] = table[token], or a row of StepView::hidden where there is no token; [row][width].
  // With positions: stream[row] += table[position] where there is a token.
  cudaError_t (*embed)(const MatrixView& table, bool positions, const StepView&, float* stream,
                       int rows, cudaStream_t);
  // Rows as BF16, as a matrix of that format has them. Null where they are floats already.
  cudaError_t (*expand)(const MatrixView&, std::uint16_t* out, cudaStream_t) = nullptr;
};

// In the order of their names; a format may have none.
std::span<const MatrixFormat* const> matrix_formats() noexcept;
const MatrixFormat* find_matrix_format(const quant::Format* format) noexcept;  // null: unknown

}  // namespace tyto::cuda
