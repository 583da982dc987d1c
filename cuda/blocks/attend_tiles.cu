// Computes  softmax attention to cached keys and values on tensor cores (Dao 2023, Dao et al. 2023)
// Shapes    q [rows][heads][head_dim], pages of the cache -> partials [rows][heads][splits]
// Launch    a warp multiplies 16 query vectors, those of all heads that share a key-value head, of
//           one row or of several of a sequence. With several splits a block of 4 warps shares the
//           pages of one, else each warp has all pages of vectors of its own
// Order     pages ascending, each warp's; then the warps in order. A row's bits depend on where its
//           keys are cut, and on other rows only if a value that they see is not finite: a tile
//           multiplies it by zero
// Layout    Products may take k in any order that both sides keep: so every lane loads 16 bytes of
//           a key, or 8 of a value, as they lie in the cache, and nothing goes by shared memory
// Measured  on no device yet
#include <type_traits>

#include "cuda/blocks/attend.h"

namespace tyto::cuda {
namespace {

constexpr int kWarps = 4, kVectors = 16;
constexpr int kResident = 2;  // with registers for more of them, the compiler spills some
constexpr int kBlock = 32;    // values of a head that a warp takes at a time

// Which query vectors lane 4 g + t has: number g, and g + 8.
struct Vectors {
  int row[2], head[2];  // of the step; -1: none
  int begin[2], end[2];
};

template <class Cache, int kBlocks>
struct TileAttention {
  using Math = typename Cache::Math;
  static constexpr int kDims = kBlocks * kBlock;
  // Of vectors in shared memory, which so begin in different banks.
  static constexpr int kStride = kDims + 4;

  unsigned query[kBlocks][2][4];
  float sums[kBlocks][4][4] = {};
  float most[2] = {-INFINITY, -INFINITY}, total[2] = {};  // total: of this lane's keys

  // ready: not null: its vectors are here already, [kVectors][kStride].
  __device__ void load_query(const Heads& h, const Vectors& v, const float* ready, float scale) {
    const int t = lane_index() % 4;
    for (int half = 0; half < 2; ++half) {
      const float* const from =
          ready ? ready + (lane_index() / 4 + 8 * half) * kStride
                : head_of(h.q, max(v.row[half], 0), max(v.head[half], 0), h.heads, kDims);
      for (int j = 0; j < kBlocks; ++j)
        for (int step = 0; step < 2; ++step)
          for (int word = 0; word < 2; ++word) {
            const float* const pair = from + j * kBlock + 8 * t + 4 * step + 2 * word;
            query[j][step][2 * word + half] =
                v.row[half] < 0 ? 0 : Math::pair(pair[0] * scale, pair[1] * scale);
          }
    }
  }

  // Keys and values of one page. Before `begin` and from `end` on nobody knows what was written.
  __device__ void take(const Heads& h, const Vectors& v, const std::byte* slots, int first_slot,
                       int begin, int end) {
    const int g = lane_index() / 4, t = lane_index() % 4;
    float scores[2][4] = {};  // of keys 0 to 7 and 8 to 15
    for (int j = 0; j < kBlocks; ++j)
      for (int n = 0; n < 2; ++n) {
        const uint4 key =
            Cache::eight(slots + (8 * n + g) * h.cache.slot_bytes, kDims, j * kBlock + 8 * t);
        const unsigned low[2] = {key.x, key.y}, high[2] = {key.z, key.w};
        Math::multiply(scores[n], query[j][0], low);
        Math::multiply(scores[n], query[j][1], high);
      }

    unsigned weights[4];
    for (int half = 0; half < 2; ++half) {
      float highest = most[half];
      for (int n = 0; n < 2; ++n)
        for (int c = 0; c < 2; ++c) {
          float& score = scores[n][2 * half + c];
          const int slot = first_slot + 8 * n + 2 * t + c;
          score = slot >= v.begin[half] && slot < v.end[half] ? score : -INFINITY;
          highest = fmaxf(highest, score);
        }
      highest = fmaxf(highest, __shfl_xor_sync(kAllLanes, highest, 1));
      highest = fmaxf(highest, __shfl_xor_sync(kAllLanes, highest, 2));
      const float base = highest == -INFINITY ? 0 : highest;  // no key yet
      const float keep = exp2f(most[half] - base);
      most[half] = highest;
      total[half] *= keep;
      for (int n = 0; n < 2; ++n) {
        for (int c = 0; c < 2; ++c) {
          float& score = scores[n][2 * half + c];
          score = exp2f(score - base);
          total[half] += score;
        }
        weights[2 * n + half] = Math::pair(scores[n][2 * half], scores[n][2 * half + 1]);
      }
      for (int j = 0; j < kBlocks; ++j)
        for (int i = 0; i < 4; ++i)
          for (int c = 0; c < 2; ++c) sums[j][i][2 * half + c] *= keep;
    }

    for (int j = 0; j < kBlocks; ++j) {
      uint2 value[4];
      for (int k = 0; k < 4; ++k) {
        const int slot = 2 * t + k % 2 + k / 2 * 8;
        const bool known = first_slot + slot >= begin && first_slot + slot < end;
        value[k] = known ? Cache::four(slots + slot * h.cache.slot_bytes + h.cache.key_bytes, kDims,
                                       j * kBlock + 4 * g)
                         : uint2{0, 0};
      }
      for (int i = 0; i < 4; ++i) {
        const auto both = [&](const uint2& a, const uint2& b) {
          return __byte_perm(i < 2 ? a.x : a.y, i < 2 ? b.x : b.y, i % 2 == 0 ? 0x5410 : 0x7632);
        };
        const unsigned pair[2] = {both(value[0], value[1]), both(value[2], value[3])};
        Math::multiply(sums[j][i], weights, pair);
      }
    }
  }

  __device__ void finish() {
    for (int half = 0; half < 2; ++half) {
      total[half] += __shfl_xor_sync(kAllLanes, total[half], 1);
      total[half] += __shfl_xor_sync(kAllLanes, total[half], 2);
    }
  }

  // Eight values each of its two vectors, one block of a head: 8 t to 8 t + 7.
  __device__ float& sum(int half, int j, int i) { return sums[j][i % 4][2 * half + i / 4]; }
};

struct Vector {
  int row, head;  // row -1: there is none
};
__device__ Vector vector_of(const Heads& h, const Tile& tile, int kv_head, int chunk, int index) {
  const int group = h.heads / h.kv_heads, of_row = min(group, kVectors);
  const int row = index / of_row, head = chunk * kVectors + index % of_row;
  const bool there = row < tile.rows && head < group;
  return {there ? tile.first + row : -1, kv_head * group + head};
}

__device__ Vectors vectors_of(const Heads& h, const StepView& step, const Tile& tile, int kv_head,
                              int chunk) {
  Vectors v;
  for (int half = 0; half < 2; ++half) {
    const Vector vector = vector_of(h, tile, kv_head, chunk, lane_index() / 4 + 8 * half);
    const bool there = vector.row >= 0;
    v.row[half] = vector.row;
    v.head[half] = vector.head;
    v.begin[half] = there ? step.rows[vector.row].begin : 0;
    v.end[half] = there ? step.rows[vector.row].end : 0;
  }
  return v;
}

// By a whole block: those keys and values of a tile's rows that its split takes in, to the cache.
template <class Cache, int kDims>
__device__ void store_heads_of(const Heads& h, const StepView& step, const Tile& tile, int kv_head,
                               int split, int splits) {
  __shared__ float heads[kWarps][kDims];
  for (int i = warp_index(); i < 2 * tile.rows; i += kWarps) {
    const int r = tile.first + i / 2;
    if (stores_here(step.rows[r], split, splits))
      store_head<Cache>(h, step, r, kv_head, i % 2 != 0, heads[warp_index()]);
  }
}

// By a whole block.
template <int kStride>
__device__ void ready_queries(const Heads& h, const Tile& tile, int kv_head, int chunk,
                              float (&query)[kVectors][kStride]) {
  for (int i = warp_index(); i < kVectors; i += kWarps)
    if (const Vector vector = vector_of(h, tile, kv_head, chunk, i); vector.row >= 0)
      take_query(h, vector.row, vector.head, query[i]);
}

// One result of all warps of a block, in the first.
template <class Attention>
__device__ void add_warps(Attention& a) {
  __shared__ float parts[kVectors][Attention::kStride];
  __shared__ float2 states[kWarps][kVectors];
  const int g = lane_index() / 4, t = lane_index() % 4, warp = warp_index();
  for (int half = 0; half < 2; ++half)
    if (t == 0) states[warp][g + 8 * half] = make_float2(a.most[half], a.total[half]);
  __syncthreads();
  for (int half = 0; half < 2; ++half) {
    float most = -INFINITY, total = 0;
    for (int w = 0; w < kWarps; ++w) most = fmaxf(most, states[w][g + 8 * half].x);
    const float base = most == -INFINITY ? 0 : most;
    for (int w = 0; w < kWarps; ++w) {
      const float2 state = states[w][g + 8 * half];
      total = fmaf(state.y, exp2f(state.x - base), total);
    }
    const float factor = exp2f(a.most[half] - base);
    for (int j = 0; j < Attention::kDims / kBlock; ++j)
      for (int i = 0; i < 8; ++i) a.sum(half, j, i) *= factor;
    a.most[half] = most;
    a.total[half] = total;
  }
  for (int w = 1; w < kWarps; ++w) {
    for (int half = 0; half < 2; ++half)
      for (int j = 0; j < Attention::kDims / kBlock; ++j)
        for (int i = 0; i < 8; ++i) {
          float& part = parts[g + 8 * half][j * kBlock + 8 * t + i];
          if (warp == w) part = a.sum(half, j, i);
        }
    __syncthreads();
    for (int half = 0; half < 2; ++half)
      for (int j = 0; j < Attention::kDims / kBlock; ++j)
        for (int i = 0; i < 8; ++i)
          if (warp == 0) a.sum(half, j, i) += parts[g + 8 * half][j * kBlock + 8 * t + i];
    __syncthreads();
  }
}

// kTogether: the warps of a block share the pages of a split.
template <class Cache, int kBlocks, bool kTogether>
__global__ void __launch_bounds__(kWarps* kWarp, kResident)
    attend_tiles_kernel(Attend a, StepView step, int splits, bool readies) {
  using Attention = TileAttention<Cache, kBlocks>;
  __shared__ float query[kVectors][kTogether ? Attention::kStride : 1];
  begin_kernel();
  const Heads& h = a.heads;
  const int warp = warp_index(), split = static_cast<int>(blockIdx.z);
  const int index =
      kTogether ? static_cast<int>(blockIdx.x) : static_cast<int>(blockIdx.x) * kWarps + warp;
  if (index >= step.tile_counts[a.tiling]) return;  // whole blocks, or whole warps
  const Tile tile = step.tiles[static_cast<std::size_t>(a.tiling) * step.most_rows + index];
  const int chunks = (h.heads / h.kv_heads + kVectors - 1) / kVectors;
  const int kv_head = static_cast<int>(blockIdx.y) / chunks;
  const int chunk = static_cast<int>(blockIdx.y) % chunks;
  if constexpr (kTogether)
    if (readies) store_heads_of<Cache, Attention::kDims>(h, step, tile, kv_head, split, splits);
  const Vectors v = vectors_of(h, step, tile, kv_head, chunk);
  int begin = step.rows[tile.first].begin, end = step.rows[tile.first].end;
  for (int r = 1; r < tile.rows; ++r) {
    begin = min(begin, step.rows[tile.first + r].begin);
    end = max(end, step.rows[tile.first + r].end);
  }
  const int length = step.rows[tile.first].split_length;
  begin = max(begin, split * length);
  end = min(end, (split + 1) * length);
  if (begin >= end) return;  // whole blocks, or whole warps

  Attention attention;
  if constexpr (kTogether)
    if (readies) {
      ready_queries(h, tile, kv_head, chunk, query);
      __syncthreads();
    }
  attention.load_query(h, v, kTogether && readies ? query[0] : nullptr, a.scale * kLog2e);
  const int sequence = step.rows[tile.first].sequence, first = begin / kPageTokens;
  const int own = kTogether ? first + (warp - first % kWarps + kWarps) % kWarps : first;
  for (int page = own; page * kPageTokens < end; page += kTogether ? kWarps : 1)
    attention.take(h, v, slot_at(h.cache, step, sequence, kv_head, page * kPageTokens),
                   page * kPageTokens, begin, end);
  attention.finish();
  if constexpr (kTogether) {
    add_warps(attention);
    if (warp > 0) return;
  }

  const int t = lane_index() % 4;
  for (int half = 0; half < 2; ++half) {
    if (v.row[half] < 0) continue;
    const std::size_t to =
        (static_cast<std::size_t>(v.row[half]) * h.heads + v.head[half]) * splits + split;
    if (t == 0) a.to.state[to] = make_float2(attention.most[half], attention.total[half]);
    float* const out = a.to.sums + to * Attention::kDims;
    for (int j = 0; j < kBlocks; ++j)
      for (int i = 0; i < 8; ++i) out[j * kBlock + 8 * t + i] = attention.sum(half, j, i);
  }
}

template <class Cache, int kBlocks>
cudaError_t attend_by(const Attend& a, const StepView& step, int splits, int rows, bool readies,
                      cudaStream_t stream) {
  const int group = a.heads.heads / a.heads.kv_heads;
  const unsigned heads = static_cast<unsigned>(a.heads.kv_heads) * ceil_div(group, kVectors);
  const unsigned tiles = static_cast<unsigned>(rows);  // at most: every row of its own sequence
  if (splits > 1)
    return launch(attend_tiles_kernel<Cache, kBlocks, true>,
                  dim3(tiles, heads, static_cast<unsigned>(splits)), kWarps * kWarp, stream, a,
                  step, splits, readies);
  return launch(attend_tiles_kernel<Cache, kBlocks, false>, dim3(ceil_div(rows, kWarps), heads),
                kWarps * kWarp, stream, a, step, splits, readies);
}

template <class Cache>
cudaError_t attend_with(const Attend& a, const StepView& step, int splits, int rows, bool readies,
                        cudaStream_t stream) {
  switch (a.heads.head_dim / kBlock) {
    case 1:
      return attend_by<Cache, 1>(a, step, splits, rows, readies, stream);
    case 2:
      return attend_by<Cache, 2>(a, step, splits, rows, readies, stream);
    case 3:
      return attend_by<Cache, 3>(a, step, splits, rows, readies, stream);
    default:
      return attend_by<Cache, 4>(a, step, splits, rows, readies, stream);
  }
}

}  // namespace

// The query and the sums of more values than 128 do not fit into a thread's registers.
bool tiles_serve(const Heads& h) noexcept {
  return h.head_dim % kBlock == 0 && h.head_dim <= 4 * kBlock && h.cache.type != CacheType::f32;
}

cudaError_t attend_tiles(const Attend& a, const StepView& step, int splits, int rows, bool readies,
                         cudaStream_t stream) {
  return with_cache(a.heads.cache.type, [&]<class Cache>() {
    if constexpr (std::is_void_v<typename Cache::Math>)
      return cudaErrorInvalidValue;  // not reached: tiles_serve()
    else
      return attend_with<Cache>(a, step, splits, rows, readies, stream);
  });
}

}  // namespace tyto::cuda
