// Computes  softmax attention of single rows to cached keys and values, in float
// Shapes    q [rows][heads][head_dim], pages of the cache -> partials [rows][heads][splits]
// Launch    a block of 8 warps per row, head and split; warp w takes the pages p with p % 8 == w,
//           wherever a row's keys begin, and their results are merged in the order of warps: so a
//           row's bits depend on where its keys are cut and on nothing else
// Measured  on no device yet
#include <algorithm>

#include "cuda/blocks/attend.h"

namespace tyto::cuda {
namespace {

constexpr int kWarps = 8, kPerLane = kMaxHead / kWarp;
constexpr int kResident = 2;  // with registers for more of them, the compiler spills some

// Online softmax (Milakov and Gimelshein 2018) of the keys that a warp takes.
template <class Cache>
struct WarpAttention {
  float acc[kPerLane] = {}, most = -INFINITY, total = 0;

  __device__ void take(const Heads& h, const float* q, float scale, const std::byte* slot) {
    const int n = h.head_dim, lane = lane_index();
    float product = 0;
    for (int i = lane; i < n; i += kWarp) product = fmaf(q[i], Cache::value(slot, n, i), product);
    const float score = warp_sum(product) * scale, before = most;
    most = fmaxf(most, score);
    const float keep = exp2f(before - most), weight = exp2f(score - most);
    total = fmaf(total, keep, weight);
    for (int j = 0; j < kPerLane; ++j) {
      const int i = lane + j * kWarp;
      if (i < n) acc[j] = fmaf(weight, Cache::value(slot + h.cache.key_bytes, n, i), acc[j] * keep);
    }
  }
};

template <class Cache>
__global__ void __launch_bounds__(kWarps* kWarp, kResident)
    attend_kernel(Attend a, StepView step, int splits, bool readies) {
  __shared__ float q[kMaxHead], sums[kWarps][kMaxHead], largest[kWarps], totals[kWarps];
  begin_kernel();
  const Heads& h = a.heads;
  const int r = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  const int split = static_cast<int>(blockIdx.z);
  if (r >= step.counts->rows) return;
  const StepRow row = step.rows[r];
  const int n = h.head_dim, warp = warp_index(), lane = lane_index();
  const int kv_head = head / (h.heads / h.kv_heads);
  const std::size_t index = static_cast<std::size_t>(r) * h.heads + head,
                    to = index * splits + split;
  const int begin = max(row.begin, split * row.split_length);
  const int end = min(row.end, (split + 1) * row.split_length);
  if (readies && warp < 2 && stores_here(row, split, splits))
    store_head<Cache>(h, step, r, kv_head, warp == 1, sums[warp]);
  if (begin >= end) return;
  if (warp == 0) {
    if (readies)
      take_query(h, r, head, q);
    else
      load_head(h.q + index * n, n, q);
  }
  __syncthreads();

  WarpAttention<Cache> own;
  const int first = begin / kPageTokens;
  for (int page = first + (warp - first % kWarps + kWarps) % kWarps; page * kPageTokens < end;
       page += kWarps) {
    const std::byte* slots = slot_at(h.cache, step, row.sequence, kv_head, page * kPageTokens);
    for (int s = 0; s < kPageTokens; ++s, slots += h.cache.slot_bytes)
      if (page * kPageTokens + s >= begin && page * kPageTokens + s < end)
        own.take(h, q, a.scale * kLog2e, slots);
  }

  for (int j = 0; j < kPerLane; ++j)
    if (lane + j * kWarp < n) sums[warp][lane + j * kWarp] = own.acc[j];
  if (lane == 0) largest[warp] = own.most, totals[warp] = own.total;
  __syncthreads();
  float most = -INFINITY, total = 0;
  for (int w = 0; w < kWarps; ++w) most = fmaxf(most, largest[w]);
  for (int w = 0; w < kWarps; ++w) total = fmaf(totals[w], exp2f(largest[w] - most), total);
  if (threadIdx.x == 0) a.to.state[to] = make_float2(most, total);
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kWarps * kWarp) {
    float sum = 0;
    for (int w = 0; w < kWarps; ++w) sum = fmaf(sums[w][i], exp2f(largest[w] - most), sum);
    a.to.sums[to * n + i] = sum;
  }
}

}  // namespace

cudaError_t attend_rows(const Attend& a, const StepView& step, int splits, int rows, bool readies,
                        cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(rows), static_cast<unsigned>(a.heads.heads),
                  static_cast<unsigned>(splits));
  return with_cache(a.heads.cache.type, [&]<class Cache>() {
    return launch(attend_kernel<Cache>, grid, kWarps * kWarp, stream, a, step, splits, readies);
  });
}

bool readies_heads(const Attend& a, int splits, int rows) noexcept {
  constexpr int kMost = 4;  // by count: a block readies the heads of its rows one after the other
  return tiles_serve(a.heads) ? splits > 1 && rows <= std::min(kMost, a.tile_rows) : rows <= 1;
}

cudaError_t attend(const Attend& a, const StepView& step, int splits, int rows,
                   cudaStream_t stream) {
  const bool readies = readies_heads(a, splits, rows);
  return tiles_serve(a.heads) ? attend_tiles(a, step, splits, rows, readies, stream)
                              : attend_rows(a, step, splits, rows, readies, stream);
}

}  // namespace tyto::cuda
