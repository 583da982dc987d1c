// Computes  records times matrices, for few records
// Shapes    records [rows][width], matrix [outputs][width] -> [rows][outputs]
// Launch    Lanes of a warp take the units of an output in turn, for all records at once.
//           multiply: blocks of 4 warps, each with one output; groups of experts are the grid's z.
//           multiply_normalized, multiply_activated: blocks of 8 warps, which take pieces of the
//           outputs in turn. Where they normalize rows, every block for itself in shared memory,
//           there are kNormalizingBlocks to a processor
// Order     per lane units ascending, then lanes by halves: a record's result depends neither on
//           the others nor on the kernel. Tensor cores (tiles.cuh) have another order
// Layout    Weights do not depend on the kernel before, so the first ones are asked for before it
//           has ended, and others while those before them are multiplied
// Measured  on no device yet
#pragma once
#include <algorithm>

#include "cuda/kernels/activation.cuh"
#include "cuda/kernels/norm.cuh"
#include "cuda/kernels/products.cuh"
#include "cuda/kernels/units.cuh"

namespace tyto::cuda {

constexpr int kMostFewRows = 8;
static_assert(kMostActivatedRows <= kMostFewRows);
// Blocks that normalize their rows leave room on a processor for one of the next kernel's.
constexpr int kResidentBlocks = kNormalizingBlocks + 1;
// Of `multiply`; with registers for more blocks than that, the compiler spills some.
constexpr int kGemvWarps = 4, kGemvBlocks = 6;

// By one warp.
template <class Matrix>
__device__ void ask_for(const MatrixView& w, int row) {
  constexpr int kLine = 128;
  for (int p = 0; p < kPlanes; ++p) {
    const int bytes = static_cast<int>(Matrix::row_bytes(p, static_cast<std::size_t>(w.width)));
    const std::byte* const from = w.planes[p] + static_cast<std::size_t>(row) * bytes;
    for (int at = lane_index() * kLine; at < bytes; at += kWarp * kLine) prefetch(from + at);
  }
}

// A row of a matrix; Matrix::Unit adds first_row.
struct Output {
  const MatrixView& w;
  int row;
};

// Products of outputs of one width with the records [first, first + rows), in every lane.
template <class Matrix, int kRows, int kOutputs>
struct Dots {
  float sums[kOutputs][kRows] = {};

  __device__ Dots(const Output (&outputs)[kOutputs], const Records& x, int first, int rows) {
    for (int unit = lane_index(); unit * Matrix::kValues < outputs[0].w.width; unit += kWarp) {
      TYTO_UNROLL
      for (int o = 0; o < kOutputs; ++o) {
        const typename Matrix::Unit weights(outputs[o].w, outputs[o].row, unit);
        TYTO_UNROLL
        for (int r = 0; r < kRows; ++r)
          if (r < rows) sums[o][r] = weights.multiply(x, first + r, unit, sums[o][r]);
      }
    }
    TYTO_UNROLL
    for (int o = 0; o < kOutputs; ++o) TYTO_UNROLL
    for (int r = 0; r < kRows; ++r) sums[o][r] = warp_sum(sums[o][r]);
  }
};

template <class Matrix, int kRows>
__global__ void __launch_bounds__(kGemvWarps* kWarp, kGemvBlocks)
    multiply_kernel(const __grid_constant__ Products products, Records x) {
  const Piece piece(products, static_cast<int>(blockIdx.x), kGemvWarps);
  const MatrixView& w = piece.part.matrix;
  const int output = piece.first_output + warp_index();
  if (!products.groups && blockIdx.y == 0 && output < w.rows)
    ask_for<Matrix>(w, w.first_row + output);
  begin_kernel();
  const Share share(products, piece.part);
  const int skipped = static_cast<int>(blockIdx.y) * kRows, rows = share.records - skipped;
  const int first = share.first_record + skipped;
  if (rows <= 0 || output >= w.rows) return;  // whole warps only
  const Dots<Matrix, kRows, 1> dots({{w, share.first_row + output}}, x, first, rows);
  TYTO_UNROLL
  for (int r = 0; r < kRows; ++r)
    if (r < rows && lane_index() == 0) store(piece.part.to, first + r, output, dots.sums[0][r]);
}

template <class Matrix, int kRows>
cudaError_t multiply_by(const Products& products, const Records& x, int rows, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(pieces_of(products, kGemvWarps)), ceil_div(rows, kRows),
                  static_cast<unsigned>(products.most_groups));
  return launch(multiply_kernel<Matrix, kRows>, grid, kGemvWarps * kWarp, stream, products, x);
}

// Records that a block makes for itself, in the form that Matrix multiplies.
template <class Matrix>
struct OwnRecords {
  __host__ __device__ static int bytes(int stride) {  // of one
    constexpr int kBytesOf32 = Matrix::kQuantized ? kUnit + sizeof(float) + 2 * sizeof(std::int16_t)
                                                  : kUnit * sizeof(float);
    return stride / kUnit * kBytesOf32;
  }
  __device__ static Records at(std::byte* shared, int stride, int rows) {
    Records own;
    own.stride = stride;
    if constexpr (Matrix::kQuantized) {
      own.codes = reinterpret_cast<std::int8_t*>(shared);
      own.scales = reinterpret_cast<float*>(shared + rows * stride);
      own.sums = reinterpret_cast<std::int16_t*>(own.scales + rows * stride / kUnit);
    } else {
      own.floats = reinterpret_cast<float*>(shared);
    }
    return own;
  }
};

// By a whole block, which may read them then.
template <class Matrix, int kRows>
__device__ Records normalized_records(const Normalize& n, int rows) {
  __shared__ float parts[kNormWarps];
  const Records own = OwnRecords<Matrix>::at(dynamic_shared(), n.to.stride, kRows);
  for (int r = 0; r < rows; ++r) {
    normalize_row(n, r, own, r, parts);
    __syncthreads();
  }
  return own;
}

// A warp takes as many outputs at a time as there are rows, which then share what it reads of them.
template <class Matrix, int kRows>
__global__ void __launch_bounds__(kNormThreads, kResidentBlocks)
    multiply_normalized_kernel(const __grid_constant__ Products products,
                               const __grid_constant__ Normalize n, int pieces) {
  constexpr int kOutputs = kRows, kPiece = kNormWarps * kOutputs;
  static_assert(kOutputs <= 2);
  const auto ask = [&](int index) {
    if (index >= pieces) return;
    const Piece piece(products, index, kPiece);
    const MatrixView& w = piece.part.matrix;
    for (int o = 0; o < kOutputs; ++o)
      if (const int output = piece.first_output + warp_index() * kOutputs + o; output < w.rows)
        ask_for<Matrix>(w, w.first_row + output);
  };
  ask(static_cast<int>(blockIdx.x));
  begin_kernel();
  const int rows = min(*n.count, kRows);
  if (rows <= 0) return;
  const Records x = normalized_records<Matrix, kRows>(n, rows);
  for (int index = static_cast<int>(blockIdx.x); index < pieces;
       index += static_cast<int>(gridDim.x)) {
    ask(index + static_cast<int>(gridDim.x));
    const Piece piece(products, index, kPiece);
    const MatrixView& w = piece.part.matrix;
    const int first = piece.first_output + warp_index() * kOutputs, last = w.rows - 1;
    if (first > last) continue;  // whole warps
    const auto dots = [&] {
      if constexpr (kOutputs == 1)
        return Dots<Matrix, kRows, 1>({{w, first}}, x, 0, rows);
      else
        return Dots<Matrix, kRows, 2>({{w, first}, {w, min(first + 1, last)}}, x, 0, rows);
    }();
    TYTO_UNROLL
    for (int o = 0; o < kOutputs; ++o) TYTO_UNROLL
    for (int r = 0; r < kRows; ++r)
      if (r < rows && first + o <= last && lane_index() == 0)
        store(piece.part.to, r, first + o, dots.sums[o][r]);
  }
}

template <class Matrix, int kRows, bool kNormalizes>
__global__ void __launch_bounds__(kNormThreads, kNormalizes ? kResidentBlocks : 1)
    multiply_activated_kernel(const __grid_constant__ Products products,
                              const __grid_constant__ Normalize n, Activate a) {
  constexpr int kOutputs = kUnit / kNormWarps;  // of a warp, of each matrix
  static_assert(kRows <= kNormWarps);
  __shared__ float results[2][kRows][kUnit];
  const Products::Part &up = products.parts[0], &gate = products.parts[1];
  const int units = a.to.stride / kUnit;
  const auto ask = [&](int output) {
    if (output >= up.matrix.rows) return;
    ask_for<Matrix>(up.matrix, up.matrix.first_row + output);
    ask_for<Matrix>(gate.matrix, gate.matrix.first_row + output);
  };
  const auto output_of = [](int unit, int o) { return unit * kUnit + warp_index() * kOutputs + o; };
  ask(output_of(static_cast<int>(blockIdx.x), 0));
  begin_kernel();
  const int rows = min(*a.count, kRows);
  if (rows <= 0) return;
  Records x = n.to;
  if constexpr (kNormalizes) x = normalized_records<Matrix, kRows>(n, rows);
  for (int unit = static_cast<int>(blockIdx.x); unit < units; unit += static_cast<int>(gridDim.x)) {
    for (int o = 0; o < kOutputs; ++o) {
      const int output = output_of(unit, o);
      ask(o + 1 < kOutputs ? output + 1 : output_of(unit + static_cast<int>(gridDim.x), 0));
      if (output >= up.matrix.rows) continue;  // whole warps
      const Dots<Matrix, kRows, 2> dots({{up.matrix, output}, {gate.matrix, output}}, x, 0, rows);
      TYTO_UNROLL
      for (int m = 0; m < 2; ++m) TYTO_UNROLL
      for (int r = 0; r < kRows; ++r)
        if (lane_index() == 0) results[m][r][warp_index() * kOutputs + o] = dots.sums[m][r];
    }
    __syncthreads();
    if (const int r = warp_index(), i = lane_index(); r < rows) {
      const int output = unit * kUnit + i;
      const float value = output < up.matrix.rows
                              ? activated(a.act, with_bias(gate.to, output, results[1][r][i])) *
                                    with_bias(up.to, output, results[0][r][i])
                              : 0.0f;
      store_unit(a.to, r, unit, value);
    }
    __syncthreads();
  }
}

template <class Matrix>
int normalized_rows(int width) {
  // By count: with more rows, reading the stream in every block takes longer than a kernel's start.
  constexpr int kMost = 2, kSharedBytes = 64 << 10;
  static_assert(kSharedBytes + (1 << 10) <= kMostShared);  // with what the kernels declare
  return std::min(kMost, kSharedBytes / OwnRecords<Matrix>::bytes(groups_of(width) * kGroup));
}

template <class Matrix>
cudaError_t multiply_normalized(const Products& products, const Normalize& n, int rows, int blocks,
                                cudaStream_t stream) {
  const auto by = [&]<int kRows>() {
    const int pieces = pieces_of(products, kNormWarps * kRows);
    const dim3 grid(static_cast<unsigned>(std::min(pieces, blocks)));
    return launch_shared(multiply_normalized_kernel<Matrix, kRows>, grid, kNormThreads,
                         kRows * OwnRecords<Matrix>::bytes(n.to.stride), stream, products, n,
                         pieces);
  };
  return rows <= 1 ? by.template operator()<1>() : by.template operator()<2>();
}

template <class Matrix>
cudaError_t multiply_activated(const Products& products, const Normalize& n, const Activate& a,
                               int rows, int blocks, cudaStream_t stream) {
  const auto by = [&]<int kRows, bool kNormalizes>() {
    const int units = a.to.stride / kUnit;
    const dim3 grid(static_cast<unsigned>(kNormalizes ? std::min(units, blocks) : units));
    const int shared = kNormalizes ? kRows * OwnRecords<Matrix>::bytes(n.to.stride) : 0;
    return launch_shared(multiply_activated_kernel<Matrix, kRows, kNormalizes>, grid, kNormThreads,
                         shared, stream, products, n, a);
  };
  const bool normalizes = rows <= normalized_rows<Matrix>(n.width);
  if (normalizes && rows <= 1) return by.template operator()<1, true>();
  if (normalizes) return by.template operator()<2, true>();
  if (rows <= 4) return by.template operator()<4, false>();
  return by.template operator()<kMostActivatedRows, false>();
}

}  // namespace tyto::cuda
