// Computes  RMSNorm (Zhang and Sennrich 2019) or LayerNorm (Ba et al. 2016) of a row, as a record
// Order     that of block_sum: whoever normalizes a row gets the same bits
#pragma once
#include "cuda/blocks/blocks.h"
#include "cuda/kernels/records.cuh"

namespace tyto::cuda {

constexpr int kNormWarps = 8, kNormThreads = kNormWarps * kWarp;

// By a whole block of kNormThreads: row r of those wanted becomes record `record`. parts: shared;
// free again after the next __syncthreads().
__device__ inline void normalize_row(const Normalize& n, int r, const Records& to, int record,
                                     float (&parts)[kNormWarps]) {
  const float* const x = n.x + static_cast<std::size_t>(n.rows ? n.rows[r] : r) * n.width;
  const int thread = static_cast<int>(threadIdx.x);
  float mean = 0, factor = 1;
  if (n.norm.weight) {
    if (n.norm.center) {
      float sum = 0;
      for (int i = thread; i < n.width; i += kNormThreads) sum += x[i];
      mean = block_sum<kNormWarps>(sum, parts) / static_cast<float>(n.width);
      __syncthreads();
    }
    float squares = 0;
    for (int i = thread; i < n.width; i += kNormThreads)
      squares = fmaf(x[i] - mean, x[i] - mean, squares);
    const float total = block_sum<kNormWarps>(squares, parts);
    factor = 1.0f / sqrtf(total / static_cast<float>(n.width) + n.norm.eps);
  }
  for (int unit = warp_index(); unit * kUnit < to.stride; unit += kNormWarps) {
    const int i = unit * kUnit + lane_index();
    float value = i < n.width ? (x[i] - mean) * factor : 0.0f;
    if (i < n.width && n.norm.weight) {
      const float weight = n.norm.weight[i];
      value = n.norm.bias ? fmaf(value, weight, n.norm.bias[i]) : value * weight;
    }
    store_unit(to, record, unit, value);
  }
}

}  // namespace tyto::cuda
