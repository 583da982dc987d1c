// Computes  RMSNorm of rows, and one row times a Q8_0 matrix.
// Shapes    x [rows, width] -> [rows, width];  x [width], weights [outputs, width] -> [outputs]
// Layout    weights as in the file: blocks of 32 codes behind a half-precision scale, 34 bytes
// Launch    rms_norm: a block of 256 threads per row; gemv_q8_0: a warp per output, 8 per block
// Measured  on no device yet
#include <cuda_fp16.h>

#include <cstdint>

#include "cuda/head.h"

namespace tyto::cuda {
namespace {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

// The same sum in every lane. The order of additions is fixed, so the bits are too.
__device__ float warp_sum(float value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(kAllLanes, value, distance);
  return value;
}

constexpr int kNormThreads = 256;

__global__ void rms_norm_kernel(const float* x, const float* weight, int width, float eps,
                                float* out) {
  __shared__ float parts[kNormThreads / kWarp];
  const std::size_t row = static_cast<std::size_t>(blockIdx.x) * width;
  float squares = 0;
  for (int i = threadIdx.x; i < width; i += kNormThreads)
    squares = fmaf(x[row + i], x[row + i], squares);
  squares = warp_sum(squares);
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = squares;
  __syncthreads();
  float total = 0;
  for (const float part : parts) total += part;
  const float factor = rsqrtf(total / static_cast<float>(width) + eps);
  for (int i = threadIdx.x; i < width; i += kNormThreads)
    out[row + i] = x[row + i] * factor * weight[i];
}

struct BlockQ8_0 {
  __half scale;
  std::int8_t codes[kWarp];
};
static_assert(sizeof(BlockQ8_0) == 34);

constexpr int kWarpsPerBlock = 8;

__global__ void gemv_q8_0_kernel(const BlockQ8_0* weights, const float* x, int outputs, int blocks,
                                 float* out) {
  const int output = blockIdx.x * kWarpsPerBlock + threadIdx.x / kWarp;
  const int lane = threadIdx.x % kWarp;
  if (output >= outputs) return;  // whole warps only
  const BlockQ8_0* row = weights + static_cast<std::size_t>(output) * blocks;
  float sum = 0;
  for (int b = 0; b < blocks; ++b) {
    const float weight = __half2float(row[b].scale) * static_cast<float>(row[b].codes[lane]);
    sum = fmaf(weight, x[b * kWarp + lane], sum);
  }
  sum = warp_sum(sum);
  if (lane == 0) out[output] = sum;
}

}  // namespace

cudaError_t rms_norm(const float* x, const float* weight, int rows, int width, float eps,
                     float* out, cudaStream_t stream) {
  rms_norm_kernel<<<rows, kNormThreads, 0, stream>>>(x, weight, width, eps, out);
  return cudaGetLastError();
}

cudaError_t gemv_q8_0(const std::byte* weights, const float* x, int outputs, int width, float* out,
                      cudaStream_t stream) {
  const int blocks = (outputs + kWarpsPerBlock - 1) / kWarpsPerBlock;
  gemv_q8_0_kernel<<<blocks, kWarpsPerBlock * kWarp, 0, stream>>>(
      reinterpret_cast<const BlockQ8_0*>(weights), x, outputs, width / kWarp, out);
  return cudaGetLastError();
}

}  // namespace tyto::cuda
