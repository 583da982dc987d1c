// The head block's kernels: logits(norm(x)).
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>

namespace tyto::cuda {

// x, out: [rows, width]; weight: [width]
cudaError_t rms_norm(const float* x, const float* weight, int rows, int width, float eps,
                     float* out, cudaStream_t stream);

// out[o] = dot(x, row o of weights). weights: [outputs, width] as a file holds Q8_0; width is a
// multiple of 32. x: [width], out: [outputs]
cudaError_t gemv_q8_0(const std::byte* weights, const float* x, int outputs, int width, float* out,
                      cudaStream_t stream);

}  // namespace tyto::cuda
