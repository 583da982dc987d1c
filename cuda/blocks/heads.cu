// Computes  angles of rotary positions; heads as attention takes them (kernels/heads.cuh), where
//           attention does not see to that itself
// Shapes    q [rows][heads][head_dim] in place; k, v [rows][kv_heads][head_dim] -> cache slots
// Launch    turn: a block per row. store_heads: a warp per row and head of q, k or v
// Measured  on no device yet
#include "cuda/kernels/heads.cuh"

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

template <class Cache>
__global__ void __launch_bounds__(kWarps* kWarp) store_heads_kernel(Heads h, StepView step) {
  __shared__ float heads[kWarps][kMaxHead];
  begin_kernel();
  const int r = static_cast<int>(blockIdx.x);
  const int index = static_cast<int>(blockIdx.y) * kWarps + warp_index();
  if (r >= step.counts->rows || index >= h.heads + 2 * h.kv_heads) return;  // whole warps
  float* const head = heads[warp_index()];
  if (index >= h.heads) {
    const int of = index - h.heads;
    return store_head<Cache>(h, step, r, of % h.kv_heads, of >= h.kv_heads, head);
  }
  take_query(h, r, index, head);
  float* const to = head_of(h.q, r, index, h.heads, h.head_dim);
  for (int i = lane_index(); i < h.head_dim; i += kWarp) to[i] = head[i];
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
