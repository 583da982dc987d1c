// Computes  which experts rows choose, and the rows of each expert; their records; sums of results
// Shapes    scores [rows][experts] -> choices [rows][active], groups, members; records [rows] ->
//           [members]; results [members][width] -> stream [rows][width]
// Launch    choose: a warp per row. group: one block. take: a block per member. add: one per row
// Order     what a row chose adds in the order of experts, whatever its place among their members
// Measured  on no device yet
#include "cuda/blocks/blocks.h"
#include "cuda/prim.cuh"

namespace tyto::cuda {
namespace {

constexpr int kChooseWarps = 4, kGroupThreads = 256, kTakeThreads = 128, kAddThreads = 256;

__device__ float rank_of(float score) { return score == score ? score : -INFINITY; }

// Whether a candidate counts as higher: of equal scores the first expert's.
__device__ bool higher(float rank, int expert, float than_rank, int than_expert) {
  return rank > than_rank || (rank == than_rank && expert < than_expert);
}

// The highest of those behind the last, in all lanes.
__device__ int next_expert(const float* scores, int experts, float& last_rank, int last) {
  int best = experts;
  float best_rank = -INFINITY;
  for (int e = lane_index(); e < experts; e += kWarp) {
    const float rank = rank_of(scores[e]);
    const bool behind = last < 0 || higher(last_rank, last, rank, e);
    if (behind && higher(rank, e, best_rank, best)) best = e, best_rank = rank;
  }
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const int other = __shfl_xor_sync(kAllLanes, best, distance);
    const float other_rank = __shfl_xor_sync(kAllLanes, best_rank, distance);
    if (higher(other_rank, other, best_rank, best)) best = other, best_rank = other_rank;
  }
  last_rank = best_rank;
  return best;
}

__global__ void __launch_bounds__(kChooseWarps* kWarp) choose_kernel(Experts x, StepView step) {
  begin_kernel();
  const int r = static_cast<int>(blockIdx.x) * kChooseWarps + warp_index();
  if (r >= step.counts->rows) return;  // whole warps
  const float* const scores = x.scores + static_cast<std::size_t>(r) * x.experts;
  Choice* const chosen = x.choices + static_cast<std::size_t>(r) * x.active;
  float last_rank = 0, largest = 0, total = 0;
  int last = -1;
  for (int i = 0; i < x.active; ++i) {
    last = next_expert(scores, x.experts, last_rank, last);
    if (i == 0) largest = scores[last];
    const float weight = expf(scores[last] - largest);
    total += weight;
    if (lane_index() > 0) continue;
    int at = i;  // among those before, by expert
    for (; at > 0 && chosen[at - 1].expert > last; --at) chosen[at] = chosen[at - 1];
    chosen[at] = {last, 0, weight};
  }
  if (lane_index() > 0) return;
  for (int i = 0; i < x.active; ++i) chosen[i].weight /= total;
}

// dynamic_shared(): [experts], how many members each has, and then where the next one goes.
__global__ void __launch_bounds__(kGroupThreads) group_kernel(Experts x, StepView step) {
  begin_kernel();
  auto* const next = reinterpret_cast<unsigned*>(dynamic_shared());
  const int thread = static_cast<int>(threadIdx.x), count = step.counts->rows * x.active;
  for (int e = thread; e < x.experts; e += kGroupThreads) next[e] = 0u;
  __syncthreads();
  for (int i = thread; i < count; i += kGroupThreads) atomicAdd(&next[x.choices[i].expert], 1u);
  __syncthreads();
  if (thread == 0) {
    int first = 0, group = 0;
    for (int e = 0; e < x.experts; ++e) {
      const int members = static_cast<int>(next[e]);
      if (members > 0) x.groups[group++] = {e, first, members};
      next[e] = static_cast<unsigned>(first);
      first += members;
    }
    for (; group < x.experts; ++group) x.groups[group] = {0, 0, 0};
    *x.members = count;
  }
  __syncthreads();
  for (int i = thread; i < count; i += kGroupThreads) {
    const auto member = static_cast<int>(atomicAdd(&next[x.choices[i].expert], 1u));
    x.choices[i].member = member;
    x.rows[member] = i / x.active;
  }
}

__device__ void copy_row(const void* from, void* to, int from_row, int to_row, int bytes) {
  const auto* const source =
      static_cast<const std::byte*>(from) + static_cast<std::size_t>(from_row) * bytes;
  auto* const target = static_cast<std::byte*>(to) + static_cast<std::size_t>(to_row) * bytes;
  for (int i = static_cast<int>(threadIdx.x) * 16; i < bytes; i += kTakeThreads * 16)
    *reinterpret_cast<uint4*>(target + i) = load<uint4>(source + i);
}

__global__ void __launch_bounds__(kTakeThreads)
    take_kernel(Experts x, Records of_rows, Records of_members) {
  begin_kernel();
  const int member = static_cast<int>(blockIdx.x), stride = of_rows.stride;
  if (member >= *x.members) return;
  const int row = x.rows[member];
  if (of_members.floats) copy_row(of_rows.floats, of_members.floats, row, member, stride * 4);
  if (of_members.halves) copy_row(of_rows.halves, of_members.halves, row, member, stride * 2);
  if (!of_members.codes) return;
  copy_row(of_rows.codes, of_members.codes, row, member, stride);
  copy_row(of_rows.scales, of_members.scales, row, member, stride / kUnit * 4);
  copy_row(of_rows.sums, of_members.sums, row, member, stride / 16 * 2);
}

__global__ void __launch_bounds__(kAddThreads)
    add_kernel(Experts x, StepView step, const float* results, int width, float* stream) {
  begin_kernel();
  const int r = static_cast<int>(blockIdx.x);
  if (r >= step.counts->rows) return;
  const Choice* const chosen = x.choices + static_cast<std::size_t>(r) * x.active;
  for (int i = static_cast<int>(threadIdx.x); i < width; i += kAddThreads) {
    float& out = stream[static_cast<std::size_t>(r) * width + i];
    float sum = out;
    for (int c = 0; c < x.active; ++c)
      sum = fmaf(chosen[c].weight, results[static_cast<std::size_t>(chosen[c].member) * width + i],
                 sum);
    out = sum;
  }
}

}  // namespace

cudaError_t choose_experts(const Experts& x, const StepView& step, int rows, cudaStream_t stream) {
  return launch(choose_kernel, dim3(ceil_div(rows, kChooseWarps)), kChooseWarps * kWarp, stream, x,
                step);
}

cudaError_t group_members(const Experts& x, const StepView& step, cudaStream_t stream) {
  const int shared = x.experts * static_cast<int>(sizeof(unsigned));
  return launch_shared(group_kernel, dim3(1), kGroupThreads, shared, stream, x, step);
}

cudaError_t take_records(const Experts& x, const Records& of_rows, const Records& of_members,
                         int members, cudaStream_t stream) {
  return launch(take_kernel, dim3(static_cast<unsigned>(members)), kTakeThreads, stream, x, of_rows,
                of_members);
}

cudaError_t add_members(const Experts& x, const StepView& step, const float* results, int width,
                        float* to, int rows, cudaStream_t stream) {
  return launch(add_kernel, dim3(static_cast<unsigned>(rows)), kAddThreads, stream, x, step,
                results, width, to);
}

}  // namespace tyto::cuda
