// The two ways of attention: in float, for every cache and head, and by tensor cores. Both make
// heads ready (kernels/heads.cuh) themselves where no block needs keys of rows that are another's.
#pragma once
#include "cuda/blocks/blocks.h"
#include "cuda/kernels/heads.cuh"

namespace tyto::cuda {

inline constexpr float kLog2e = 1.44269504088896340736f;

cudaError_t attend_rows(const Attend&, const StepView&, int splits, int rows, bool readies,
                        cudaStream_t);

bool tiles_serve(const Heads&) noexcept;
cudaError_t attend_tiles(const Attend&, const StepView&, int splits, int rows, bool readies,
                         cudaStream_t);

// Whether the block of this split puts the key and value of a row into the cache.
__device__ inline bool stores_here(const StepRow& row, int split, int splits) {
  return min(row.slot / row.split_length, splits - 1) == split;
}

}  // namespace tyto::cuda
