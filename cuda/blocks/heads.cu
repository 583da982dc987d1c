// Computes  norms and rotary positions (Su et al. 2021) of heads; keys and values go to the cache
// Shapes    q [rows][heads][head_dim] in place; k, v [rows][kv_heads][head_dim] -> cache slots
// Launch    turn: a block per row. store_heads: a warp per row and head of q, k or v
// Measured  on no device yet
#include "cuda/kernels/cache.cuh"

namespace tyto::cuda {
namespace {

constexpr int kWarps = 4;

// Angles in double: at long positions float loses them.
__global__ void turn_kernel(Turns t, StepView step) {
  begin_kernel();
  const int r = static_cast<int>(blockIdx.x);
  if (r >= step.counts->rows) return;
  const double position = step.rows[r].position;
  for (int i = static_cast<int>(threadIdx.x); i < t.pairs; i += static_cast<int>(blockDim.x)) {
    const double angle = position * t.frequencies[i];
    t.out[static_cast<std::size_t>(r) * t.pairs + i] =
        make_float2(static_cast<float>(cos(angle)), static_cast<float>(sin(angle)));
  }
}

// By one warp, in place.
__device__ void normalize_head(const NormView& norm, float* head, int n) {
  if (!norm.weight) return;
  float mean = 0, squares = 0;
  if (norm.center) {
    for (int i = lane_index(); i < n; i += kWarp) mean += head[i];
    mean = warp_sum(mean) / static_cast<float>(n);
  }
  for (int i = lane_index(); i < n; i += kWarp)
    squares = fmaf(head[i] - mean, head[i] - mean, squares);
  const float factor = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(n) + norm.eps);
  for (int i = lane_index(); i < n; i += kWarp) {
    head[i] = (head[i] - mean) * factor * norm.weight[i];
    if (norm.bias) head[i] += norm.bias[i];
  }
}

__device__ void rotate_head(const Heads& h, int row, float* head) {
  if (!h.turns) return;
  for (int i = lane_index(); i < h.pairs; i += kWarp) {
    const float2 turn = h.turns[static_cast<std::size_t>(row) * h.pairs + i];
    float& first = head[h.interleaved ? 2 * i : i];
    float& second = head[h.interleaved ? 2 * i + 1 : i + h.pairs];
    const float a = first, b = second;
    first = a * turn.x - b * turn.y;
    second = a * turn.y + b * turn.x;
  }
}

template <class Cache>
__global__ void __launch_bounds__(kWarps* kWarp) store_heads_kernel(Heads h, StepView step) {
  __shared__ float heads[kWarps][kMaxHead];
  begin_kernel();
  const int r = static_cast<int>(blockIdx.x);
  int index = static_cast<int>(blockIdx.y) * kWarps + warp_index();
  if (r >= step.counts->rows || index >= h.heads + 2 * h.kv_heads) return;  // whole warps
  const bool query = index < h.heads, value = index >= h.heads + h.kv_heads;
  index -= query ? 0 : value ? h.heads + h.kv_heads : h.heads;
  float* const at =
      (query   ? h.q
       : value ? h.v
               : h.k) +
      (static_cast<std::size_t>(r) * (query ? h.heads : h.kv_heads) + index) * h.head_dim;

  float* const head = heads[warp_index()];
  for (int i = lane_index(); i < h.head_dim; i += kWarp) head[i] = at[i];
  __syncwarp();
  if (!value) {
    normalize_head(query ? h.q_norm : h.k_norm, head, h.head_dim);
    __syncwarp();
    rotate_head(h, r, head);
    __syncwarp();
  }
  if (query) {
    for (int i = lane_index(); i < h.head_dim; i += kWarp) at[i] = head[i];
    return;
  }
  const StepRow row = step.rows[r];
  std::byte* const slot = slot_at(h.cache, step, row.sequence, index, row.slot);
  Cache::store(value ? slot + h.cache.key_bytes : slot, head, h.head_dim);
}

}  // namespace

cudaError_t turn(const Turns& turns, const StepView& step, int rows, cudaStream_t stream) {
  return launch(turn_kernel, dim3(static_cast<unsigned>(rows)), 128, stream, turns, step);
}

cudaError_t store_heads(const Heads& heads, const StepView& step, int rows, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(rows), ceil_div(heads.heads + 2 * heads.kv_heads, kWarps));
  return with_cache(heads.cache.type, [&]<class Cache>() {
    return launch(store_heads_kernel<Cache>, grid, kWarps * kWarp, stream, heads, step);
  });
}

std::size_t cached_bytes(CacheType type, int values) noexcept {
  return with_cache(type, [values]<class Cache>() { return Cache::bytes(values); });
}

}  // namespace tyto::cuda
