// Which kernels a block is, with everything they need but the number of rows.
#pragma once
#include <functional>
#include <vector>

#include "cuda/blas.h"
#include "cuda/buckets.h"
#include "cuda/cuda_cache.h"
#include "cuda/lowered.h"
#include "cuda/queue.h"

namespace tyto::cuda {

// Queues one piece of work for a step of at most so many rows and outputs.
using Kernel = std::function<cudaError_t(const Bucket&, cudaStream_t)>;

// The kernels of every block of the slice, in order. Addresses are those of `weights` and
// `workspace`, which are device memory of the sizes that `lowered` and `places` tell. `blas`: null
// where there is none.
std::vector<std::vector<Kernel>> block_kernels(const Plan& plan, Slice slice,
                                               const Lowered& lowered, const std::byte* weights,
                                               const CudaCache& cache, const Workspace& places,
                                               std::byte* workspace, const Queue& queue,
                                               std::shared_ptr<const Blas> blas);

}  // namespace tyto::cuda
