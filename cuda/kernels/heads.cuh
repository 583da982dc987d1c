// Computes  norms and rotary positions (Su et al. 2021) of heads; keys and values go to the cache.
//           Products that are added are fma by name, so that every kernel rounds alike
#pragma once
#include "cuda/kernels/cache.cuh"

namespace tyto::cuda {

// By one warp, in place.
__device__ inline void normalize_head(const NormView& norm, float* head, int n) {
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
    const float value = (head[i] - mean) * factor;
    head[i] = norm.bias ? fmaf(value, norm.weight[i], norm.bias[i]) : value * norm.weight[i];
  }
}

__device__ inline void rotate_head(const Heads& h, int row, float* head) {
  if (!h.turns) return;
  for (int i = lane_index(); i < h.pairs; i += kWarp) {
    const float2 turn = h.turns[static_cast<std::size_t>(row) * h.pairs + i];
    float& first = head[h.interleaved ? 2 * i : i];
    float& second = head[h.interleaved ? 2 * i + 1 : i + h.pairs];
    const float a = first, b = second;
    first = fmaf(a, turn.x, -__fmul_rn(b, turn.y));
    second = fmaf(a, turn.y, __fmul_rn(b, turn.x));
  }
}

__device__ inline float* head_of(float* all, int row, int head, int heads, int head_dim) {
  return all + (static_cast<std::size_t>(row) * heads + head) * head_dim;
}

// By one warp, as those that follow: to shared memory.
__device__ inline void load_head(const float* from, int n, float* head) {
  for (int i = lane_index(); i < n; i += kWarp) head[i] = from[i];
  __syncwarp();
}

__device__ inline void ready_head(const Heads& h, const NormView& norm, int row, float* head) {
  normalize_head(norm, head, h.head_dim);
  __syncwarp();
  rotate_head(h, row, head);
  __syncwarp();
}

// head: shared.
__device__ inline void take_query(const Heads& h, int row, int index, float* head) {
  load_head(head_of(h.q, row, index, h.heads, h.head_dim), h.head_dim, head);
  ready_head(h, h.q_norm, row, head);
}

// A key or a value of a row, by way of `head`, which is shared.
template <class Cache>
__device__ void store_head(const Heads& h, const StepView& step, int r, int kv_head, bool value,
                           float* head) {
  load_head(head_of(value ? h.v : h.k, r, kv_head, h.kv_heads, h.head_dim), h.head_dim, head);
  if (!value) ready_head(h, h.k_norm, r, head);
  const StepRow row = step.rows[r];
  std::byte* const slot = slot_at(h.cache, step, row.sequence, kv_head, row.slot);
  Cache::store(value ? slot + h.cache.key_bytes : slot, head, h.head_dim);
}

}  // namespace tyto::cuda
