// Computes  records times a matrix, and rows of a table
// Shapes    records [rows][width], matrix [outputs][width] -> [rows][outputs]
// Launch    multiply: a warp per output and up to 8 records, 4 outputs per block; lanes take units
//           in turn. embed: a block per row
// Order     per lane units ascending, then lanes by halves: a record's result does not depend on
//           what others are there
// Measured  on no device yet
#pragma once
#include "cuda/kernels/units.cuh"

namespace tyto::cuda {

constexpr int kOutputsPerBlock = 4;

template <class Matrix, int kRows>
__global__ void __launch_bounds__(kOutputsPerBlock* kWarp)
    multiply_kernel(MatrixView w, Records x, Destination to) {
  const int output = static_cast<int>(blockIdx.x) * kOutputsPerBlock + warp_index();
  const int first = static_cast<int>(blockIdx.y) * kRows, rows = *to.count - first;
  if (rows <= 0 || output >= w.rows) return;  // whole warps only
  float acc[kRows] = {};
  for (int unit = lane_index(); unit * Matrix::kValues < w.width; unit += kWarp) {
    const typename Matrix::Unit weights(w, output, unit);
    for (int r = 0; r < kRows; ++r)
      if (r < rows) acc[r] = weights.multiply(x, first + r, unit, acc[r]);
  }
  for (int r = 0; r < kRows; ++r) {
    if (r >= rows) break;
    float sum = warp_sum(acc[r]);
    if (lane_index() != 0) continue;
    if (to.bias) sum += to.bias[output];
    float& out = to.out[static_cast<std::size_t>(first + r) * to.stride + output];
    out = to.add ? out + sum : sum;
  }
}

template <class Matrix, int kRows>
cudaError_t multiply_by(const MatrixView& w, const Records& x, const Destination& to, int rows,
                        cudaStream_t stream) {
  const dim3 grid(ceil_div(w.rows, kOutputsPerBlock), ceil_div(rows, kRows));
  return launch(multiply_kernel<Matrix, kRows>, grid, kOutputsPerBlock * kWarp, stream, w, x, to);
}
template <class Matrix>
cudaError_t multiply(const MatrixView& w, const Records& x, const Destination& to, int rows,
                     cudaStream_t stream) {
  static_assert(kMostRowsAtOnce == 8);
  if (rows <= 1) return multiply_by<Matrix, 1>(w, x, to, rows, stream);
  if (rows <= 2) return multiply_by<Matrix, 2>(w, x, to, rows, stream);
  if (rows <= 4) return multiply_by<Matrix, 4>(w, x, to, rows, stream);
  return multiply_by<Matrix, kMostRowsAtOnce>(w, x, to, rows, stream);
}

template <class Matrix>
__global__ void embed_kernel(MatrixView table, bool positions, StepView step, float* stream) {
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

template <class Matrix>
constexpr MatrixFormat matrix_format(const quant::Format& format) {
  return {&format,          Matrix::kQuantized, Matrix::layout,
          Matrix::pack_row, multiply<Matrix>,   embed<Matrix>};
}

}  // namespace tyto::cuda
