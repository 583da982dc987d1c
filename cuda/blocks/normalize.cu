// Computes  RMSNorm (Zhang and Sennrich 2019) or LayerNorm (Ba et al. 2016) of rows, as records
// Shapes    x [*][width] -> records [rows][width]
// Launch    a block of 8 warps per row; a warp per unit of 32 values
// Measured  on no device yet
#include "cuda/blocks/blocks.h"
#include "cuda/kernels/records.cuh"

namespace tyto::cuda {
namespace {

constexpr int kWarps = 8;

__global__ void __launch_bounds__(kWarps* kWarp) normalize_kernel(Normalize n) {
  __shared__ float parts[kWarps];
  begin_kernel();
  const int r = static_cast<int>(blockIdx.x);
  if (r >= *n.count) return;
  const float* const x = n.x + static_cast<std::size_t>(n.rows ? n.rows[r] : r) * n.width;
  float mean = 0, factor = 1;
  if (n.norm.weight) {
    if (n.norm.center) {
      float sum = 0;
      for (int i = static_cast<int>(threadIdx.x); i < n.width; i += kWarps * kWarp) sum += x[i];
      mean = block_sum<kWarps>(sum, parts) / static_cast<float>(n.width);
      __syncthreads();
    }
    float squares = 0;
    for (int i = static_cast<int>(threadIdx.x); i < n.width; i += kWarps * kWarp)
      squares = fmaf(x[i] - mean, x[i] - mean, squares);
    const float total = block_sum<kWarps>(squares, parts);
    factor = 1.0f / sqrtf(total / static_cast<float>(n.width) + n.norm.eps);
  }
  for (int unit = warp_index(); unit * kUnit < n.to.stride; unit += kWarps) {
    const int i = unit * kUnit + lane_index();
    float value = i < n.width ? (x[i] - mean) * factor : 0.0f;
    if (i < n.width && n.norm.weight) {
      value *= n.norm.weight[i];
      if (n.norm.bias) value += n.norm.bias[i];
    }
    store_unit(n.to, r, unit, value);
  }
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
  return launch(normalize_kernel, dim3(static_cast<unsigned>(rows)), kWarps * kWarp, stream, n);
}

cudaError_t take_hidden(const StepView& step, float* to, int width, int rows, cudaStream_t stream) {
  return launch(take_hidden_kernel, dim3(static_cast<unsigned>(rows)), 256, stream, step, to,
                width);
}

}  // namespace tyto::cuda
