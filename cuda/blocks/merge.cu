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

__global__ void __launch_bounds__(kWarps* kWarp) merge_kernel(Merge m, StepView step, int splits) {
  begin_kernel();
  const int r = static_cast<int>(blockIdx.x);
  if (r >= step.counts->rows) return;
  const StepRow row = step.rows[r];
  const int first = row.begin / row.split_length, last = (row.end - 1) / row.split_length;
  const int width = m.heads * m.head_dim;
  for (int unit = warp_index(); unit * kUnit < m.to.stride; unit += kWarps) {
    const int i = unit * kUnit + lane_index();
    float value = 0;
    if (i < width) {
      const std::size_t head = static_cast<std::size_t>(r) * m.heads + i / m.head_dim;
      const float2* const state = m.from.state + head * splits;
      const float* const sums = m.from.sums + head * splits * m.head_dim + i % m.head_dim;
      float most = -INFINITY, total = 0, sum = 0;
      for (int s = first; s <= last; ++s) most = fmaxf(most, state[s].x);
      for (int s = first; s <= last; ++s) {
        const float factor = exp2f(state[s].x - most);
        total = fmaf(state[s].y, factor, total);
        sum = fmaf(sums[static_cast<std::size_t>(s) * m.head_dim], factor, sum);
      }
      value = sum / total;
    }
    store_unit(m.to, r, unit, value);
  }
}

// By arithmetic: a block reads a split in some microseconds, and a device is full of the splits of
// a few rows. With more rows there are blocks enough.
constexpr int kMostSplits = 32, kLeastLength = 128, kMostSplitRows = 64;

}  // namespace

int split_length(int end, int splits) noexcept {
  const int length = std::max(splits > 1 ? kLeastLength : 1, (end + splits - 1) / splits);
  return (length + kPageTokens - 1) / kPageTokens * kPageTokens;
}

int splits_of(int context, int rows, Order order) noexcept {
  if (order == Order::fastest && rows > kMostSplitRows) return 1;
  const int length = split_length(context, kMostSplits);
  return (context + length - 1) / length;
}

cudaError_t merge(const Merge& m, const StepView& step, int splits, int rows, cudaStream_t stream) {
  return launch(merge_kernel, dim3(static_cast<unsigned>(rows)), kWarps * kWarp, stream, m, step,
                splits);
}

}  // namespace tyto::cuda
