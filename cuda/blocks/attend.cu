// Computes  softmax attention of single rows to cached keys and values
// Shapes    q [rows][heads][head_dim], pages of the cache -> [rows][heads][head_dim]
// Launch    a block of 8 warps per row and head; warp w takes the pages p with p % 8 == w, wherever
//           a row's keys begin, and their results are merged in the order of warps: so a row's bits
//           depend on nothing else
// Measured  on no device yet
#include "cuda/kernels/cache.cuh"

namespace tyto::cuda {
namespace {

constexpr int kWarps = 8, kPerLane = kMaxHead / kWarp;

template <class Cache>
__global__ void __launch_bounds__(kWarps* kWarp)
    attend_kernel(Heads h, float scale, StepView step, float* out) {
  __shared__ float q[kMaxHead], sums[kWarps][kMaxHead], largest[kWarps], totals[kWarps];
  const int r = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  if (r >= step.counts->rows) return;
  const StepRow row = step.rows[r];
  const int n = h.head_dim, warp = warp_index(), lane = lane_index();
  const int kv_head = head / (h.heads / h.kv_heads);
  const std::size_t at = (static_cast<std::size_t>(r) * h.heads + head) * n;
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kWarps * kWarp) q[i] = h.q[at + i];
  __syncthreads();

  // Online softmax (Milakov and Gimelshein 2018) of this warp's pages.
  float acc[kPerLane] = {}, most = -INFINITY, total = 0;
  const int first = row.begin / kPageTokens;
  for (int page = first + (warp - first % kWarps + kWarps) % kWarps; page * kPageTokens < row.end;
       page += kWarps) {
    const std::byte* slots = slot_at(h.cache, step, row.sequence, kv_head, page * kPageTokens);
    for (int s = 0; s < kPageTokens; ++s, slots += h.cache.slot_bytes) {
      const int slot = page * kPageTokens + s;
      if (slot < row.begin || slot >= row.end) continue;
      float product = 0;
      for (int i = lane; i < n; i += kWarp)
        product = fmaf(q[i], Cache::value(slots, n, i), product);
      const float score = warp_sum(product) * scale, before = most;
      most = fmaxf(most, score);
      const float keep = expf(before - most), weight = expf(score - most);
      total = fmaf(total, keep, weight);
      for (int j = 0; j < kPerLane; ++j) {
        const int i = lane + j * kWarp;
        if (i < n)
          acc[j] = fmaf(weight, Cache::value(slots + h.cache.key_bytes, n, i), acc[j] * keep);
      }
    }
  }

  for (int j = 0; j < kPerLane; ++j)
    if (lane + j * kWarp < n) sums[warp][lane + j * kWarp] = acc[j];
  if (lane == 0) largest[warp] = most, totals[warp] = total;
  __syncthreads();
  for (int w = 0; w < kWarps; ++w) most = fmaxf(most, largest[w]);
  total = 0;
  for (int w = 0; w < kWarps; ++w) total = fmaf(totals[w], expf(largest[w] - most), total);
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kWarps * kWarp) {
    float sum = 0;
    for (int w = 0; w < kWarps; ++w) sum = fmaf(sums[w][i], expf(largest[w] - most), sum);
    out[at + i] = sum / total;
  }
}

}  // namespace

cudaError_t attend(const Heads& heads, float scale, const StepView& step, float* out, int rows,
                   cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(rows), static_cast<unsigned>(heads.heads));
  return with_cache(heads.cache.type, [&]<class Cache>() {
    return launch(attend_kernel<Cache>, grid, kWarps * kWarp, stream, heads, scale, step, out);
  });
}

}  // namespace tyto::cuda
