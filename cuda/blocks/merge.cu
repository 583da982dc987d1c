// Computes  where keys are cut for attention, and a row's result of its splits, as records
// Shapes    partials [rows][heads][splits] -> records [rows][heads * head_dim]
// Launch    a block of 8 warps per row; a warp per unit of 32 values
// Order     splits ascending
// Measured  on no device yet
#include <algorithm>

#include "cuda/blocks/blocks.h"
#include "cuda/kernels/records.cuh"

namespace tyto::cuda {
namespace {

constexpr int kWarps = 8;

__global__ void __launch_bounds__(kWarps* kWarp)
    merge_kernel(Merge m, StepView step, Splits splits) {
  begin_kernel();
  const int r = static_cast<int>(blockIdx.x);
  if (r >= step.counts->rows) return;
  const StepRow row = step.rows[r];
  const int first = row.begin / splits.length, last = (row.end - 1) / splits.length;
  const int width = m.heads * m.head_dim;
  for (int unit = warp_index(); unit * kUnit < m.to.stride; unit += kWarps) {
    const int i = unit * kUnit + lane_index();
    float value = 0;
    if (i < width) {
      const std::size_t head = static_cast<std::size_t>(r) * m.heads + i / m.head_dim;
      const float2* const state = m.from.state + head * splits.count;
      const float* const sums = m.from.sums + head * splits.count * m.head_dim + i % m.head_dim;
      float most = -INFINITY, total = 0, sum = 0;
      for (int s = first; s <= last; ++s) most = fmaxf(most, state[s].x);
      for (int s = first; s <= last; ++s) {
        if (state[s].y == 0) continue;  // its sums were not written
        const float factor = exp2f(state[s].x - most);
        total = fmaf(state[s].y, factor, total);
        sum = fmaf(sums[static_cast<std::size_t>(s) * m.head_dim], factor, sum);
      }
      value = sum / total;
    }
    store_unit(m.to, r, unit, value);
  }
}

// A split is read in some microseconds by one block. There are not more of them than a device is
// full of, and few enough that what is kept of each is less than the cache it is computed from.
constexpr int kMostSplits = 32, kLeastLength = 128;
// With more rows there are blocks enough.
constexpr int kMostSplitRows = 64;

}  // namespace

Splits splits_of(int context, int rows, Order order) noexcept {
  const auto rounded = [](int slots) {
    return (slots + kPageTokens - 1) / kPageTokens * kPageTokens;
  };
  if (order == Order::fastest && rows > kMostSplitRows) return {1, rounded(context)};
  const int length = rounded(std::max(kLeastLength, (context + kMostSplits - 1) / kMostSplits));
  return {(context + length - 1) / length, length};
}

cudaError_t merge(const Merge& m, const StepView& step, const Splits& splits, int rows,
                  cudaStream_t stream) {
  return launch(merge_kernel, dim3(static_cast<unsigned>(rows)), kWarps * kWarp, stream, m, step,
                splits);
}

}  // namespace tyto::cuda
