// A slice of a plan as sequences of kernels: one per block, and all of them as one graph for each
// bucket of shapes.
#pragma once
#include <memory>

#include "cuda/cuda_cache.h"
#include "cuda/pack.h"

namespace tyto::cuda {

// `weights` and `cache` outlive it.
Result<std::unique_ptr<Program>> new_cuda_program(const Plan& plan, Slice slice,
                                                  const CudaWeights& weights,
                                                  const CudaCache& cache, const Capacity& capacity,
                                                  std::shared_ptr<const Queue> queue);

}  // namespace tyto::cuda
