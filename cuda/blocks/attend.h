// The two ways of attention: in float, for every cache and head, and by tensor cores.
#pragma once
#include "cuda/blocks/blocks.h"
#include "cuda/kernels/cache.cuh"

namespace tyto::cuda {

inline constexpr float kLog2e = 1.44269504088896340736f;

cudaError_t attend_rows(const Attend&, const StepView&, int splits, int rows, cudaStream_t);

bool tiles_serve(const Heads&) noexcept;
cudaError_t attend_tiles(const Attend&, const StepView&, int splits, int rows, cudaStream_t);

}  // namespace tyto::cuda
