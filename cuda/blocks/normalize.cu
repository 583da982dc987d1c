// Computes  rows normalized (kernels/norm.cuh), as records; rows that come from an earlier slice
// Shapes    x [*][width] -> records [rows][width]
// Launch    a block of 8 warps per row; a warp per unit of 32 values
// Measured  on no device yet
#include "cuda/kernels/norm.cuh"

namespace tyto::cuda {
namespace {

__global__ void __launch_bounds__(kNormThreads) normalize_kernel(Normalize n) {
  __shared__ float parts[kNormWarps];
  begin_kernel();
  const int r = static_cast<int>(blockIdx.x);
  if (r < *n.count) normalize_row(n, r, n.to, r, parts);
}

__global__ void take_hidden_kernel(StepView step, float* stream, int width) {
  begin_kernel();
  const int r = static_cast<int>(blockIdx.x);
  if (r >= step.counts->rows) return;
  const float* const from = step.hidden + static_cast<std::size_t>(step.rows[r].hidden) * width;
  for (int i = static_cast<int>(threadIdx.x); i < width; i += static_cast<int>(blockDim.x))
    stream[static_cast<std::size_t>(r) * width + i] = from[i];
}

}  // namespace

cudaError_t normalize(const Normalize& n, int rows, cudaStream_t stream) {
  return launch(normalize_kernel, dim3(static_cast<unsigned>(rows)), kNormThreads, stream, n);
}

cudaError_t take_hidden(const StepView& step, float* to, int width, int rows, cudaStream_t stream) {
  return launch(take_hidden_kernel, dim3(static_cast<unsigned>(rows)), 256, stream, step, to,
                width);
}

}  // namespace tyto::cuda
