// Computes  all that is done with matrices of a format: products (gemv.cuh, tiles.cuh), rows of a
//           table, rows as BF16, and matrices from rows of a file
// Launch    embed: a block per row. expand: a thread per unit. pack: a thread per block of the file
// Measured  on no device yet
#pragma once
#include "cuda/kernels/gemv.cuh"
#include "cuda/kernels/tiles.cuh"

namespace tyto::cuda {

template <class Matrix>
cudaError_t multiply(const Products& products, const Records& x, int rows, Order order,
                     cudaStream_t stream) {
  if (rows <= 1) return multiply_by<Matrix, 1>(products, x, rows, stream);
  if (rows <= 2) return multiply_by<Matrix, 2>(products, x, rows, stream);
  if (rows <= 4) return multiply_by<Matrix, 4>(products, x, rows, stream);
  if constexpr (TilesOf<Matrix>::kServed)
    if (rows > kMostFewRows && order == Order::fastest)
      return multiply_tiles<typename TilesOf<Matrix>::Tiles>(products, x, rows, stream);
  return multiply_by<Matrix, kMostFewRows>(products, x, rows, stream);
}

template <class Matrix>
__global__ void embed_kernel(MatrixView table, bool positions, StepView step, float* stream) {
  begin_kernel();
  const int r = static_cast<int>(blockIdx.x);
  if (r >= step.counts->rows) return;
  const StepRow row = step.rows[r];
  if (positions && row.token < 0) return;
  float* const out = stream + static_cast<std::size_t>(r) * table.width;
  const float* const hidden = step.hidden + static_cast<std::size_t>(row.hidden) * table.width;
  for (int i = static_cast<int>(threadIdx.x); i < table.width; i += static_cast<int>(blockDim.x)) {
    if (positions)
      out[i] += Matrix::value(table, row.position, i);
    else
      out[i] = row.token < 0 ? hidden[i] : Matrix::value(table, row.token, i);
  }
}
template <class Matrix>
cudaError_t embed(const MatrixView& table, bool positions, const StepView& step, float* stream,
                  int rows, cudaStream_t queue) {
  return launch(embed_kernel<Matrix>, dim3(static_cast<unsigned>(rows)), 256, queue, table,
                positions, step, stream);
}

// A thread per unit, with the units of zeros behind the width.
template <class Matrix>
__global__ void expand_kernel(MatrixView w, std::uint16_t* out, int stride) {
  begin_kernel();
  const int units = stride / kUnit;
  const auto thread = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int row = static_cast<int>(thread / units), unit = static_cast<int>(thread % units);
  if (row >= w.rows) return;
  const typename Matrix::Unit weights(w, row, unit);
  for (int i = 0; i < kUnit; i += 8) {
    alignas(16) std::uint16_t values[8];
    for (int j = 0; j < 8; ++j) values[j] = float_to_bf16(weights.value(i + j));
    *reinterpret_cast<uint4*>(out + thread * kUnit + i) = load<uint4>(values);
  }
}
template <class Matrix>
cudaError_t expand(const MatrixView& w, std::uint16_t* out, cudaStream_t stream) {
  constexpr int kThreads = 128;
  const int stride = float_groups_of(w.width) * kFloatGroup;
  return launch(expand_kernel<Matrix>, dim3(ceil_div(w.rows * (stride / kUnit), kThreads)),
                kThreads, stream, w, out, stride);
}

struct PlanePointers {
  std::byte* at[kPlanes];
  std::size_t row_bytes[kPlanes];
};
template <class Matrix>
__global__ void pack_kernel(FileRows rows, PlanePointers to) {
  begin_kernel();
  const int blocks = (rows.width + Matrix::kPackedAtOnce - 1) / Matrix::kPackedAtOnce;
  const auto thread = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int r = static_cast<int>(thread / blocks), i = static_cast<int>(thread % blocks);
  if (r >= rows.count) return;
  std::byte* planes[kPlanes];
  for (int p = 0; p < kPlanes; ++p)
    planes[p] = to.at[p] + static_cast<std::size_t>(rows.first + r) * to.row_bytes[p];
  if (!Matrix::pack(rows.data + r * rows.row_bytes, rows.width, i, planes) && rows.not_finite)
    atomicMin(rows.not_finite, rows.first + r);
}
template <class Matrix>
cudaError_t pack(const FileRows& rows, const MatrixLayout& layout, std::byte* matrix,
                 cudaStream_t stream) {
  constexpr int kThreads = 128;
  PlanePointers to;
  for (int p = 0; p < kPlanes; ++p) {
    to.at[p] = matrix + layout.planes[p].offset;
    to.row_bytes[p] = layout.planes[p].row_bytes;
  }
  const int blocks = (rows.width + Matrix::kPackedAtOnce - 1) / Matrix::kPackedAtOnce;
  return launch(pack_kernel<Matrix>, dim3(ceil_div(rows.count * blocks, kThreads)), kThreads,
                stream, rows, to);
}

template <class Matrix>
Forms forms(Order order) {
  Forms wanted = Matrix::kQuantized ? Forms{.codes = true} : Forms{.floats = true};
  if constexpr (TilesOf<Matrix>::kServed)
    if (order == Order::fastest) wanted |= TilesOf<Matrix>::Tiles::kForms;
  return wanted;
}

template <class Matrix>
constexpr MatrixFormat matrix_format(const quant::Format& format) {
  MatrixFormat served{&format,
                      forms<Matrix>,
                      layout_of<Matrix>,
                      pack<Matrix>,
                      multiply<Matrix>,
                      normalized_rows<Matrix>,
                      multiply_normalized<Matrix>,
                      multiply_activated<Matrix>,
                      embed<Matrix>};
  if constexpr (Matrix::kQuantized) served.expand = expand<Matrix>;
  return served;
}

}  // namespace tyto::cuda
