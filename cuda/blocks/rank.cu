// Computes  the highest logits of a row (src/top_logits.h), the logarithm of the sum of exp(logit)
// Shapes    logits [output][vocab] -> keys [output][chunk][kTopLogits] -> to [output]
// Launch    rank_chunks: a block per kRankChunk logits of an output. rank_rows: a block per output.
//           Both select by digits (radix select), a thread per value that a digit can have
// Order     keys are found in any, and sorted in the end; sums by thread, warp, block, chunk
// Measured  on no device yet
#include "cuda/blocks/blocks.h"
#include "cuda/prim.cuh"

namespace tyto::cuda {
namespace {

constexpr int kDigitBits = 8, kDigits = 1 << kDigitBits;
constexpr int kThreads = kDigits, kWarps = kThreads / kWarp;
static_assert(kTopLogits == kThreads && kTopLogits <= kRankChunk);

// A higher logit has a higher key, and among equals a lower token: no two keys are equal.
__device__ RankKey key_of(float logit, int token) {
  const auto bits = static_cast<unsigned>(__float_as_int(logit + 0.0f));  // -0 becomes 0
  const unsigned ordered = bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<RankKey>(ordered) << 32 | ~static_cast<unsigned>(token);
}
__device__ TopLogit entry_of(RankKey key) {
  const auto ordered = static_cast<unsigned>(key >> 32);
  const unsigned bits = ordered >> 31 != 0 ? ordered & 0x7fffffffu : ~ordered;
  return {__int_as_float(static_cast<int>(bits)),
          static_cast<std::int32_t>(~static_cast<unsigned>(key))};
}

struct Selection {           // of a block, in shared memory
  RankKey least;             // the least key that is selected, as far as its digits are known
  unsigned digits[kDigits];  // how many keys that begin like it have this digit next
  unsigned missing;          // how many of those that begin like it are still to be selected
  unsigned count;            // keys written
};

// The next digit of `least`. By one warp: a lane has 8 digits, the first the highest, and one lane
// finds it.
__device__ void choose_digit(Selection& s, int shift) {
  constexpr int kEach = kDigits / kWarp;
  const int first = kDigits - 1 - lane_index() * kEach;
  unsigned mine = 0;
  for (int i = 0; i < kEach; ++i) mine += s.digits[first - i];
  unsigned above = mine;
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const unsigned lower = __shfl_up_sync(kAllLanes, above, static_cast<unsigned>(distance));
    if (lane_index() >= distance) above += lower;
  }
  above -= mine;
  const unsigned missing = s.missing;
  __syncwarp();  // every lane has read it before one writes
  if (above >= missing || above + mine < missing) return;
  int digit = first;
  for (; above + s.digits[digit] < missing; --digit) above += s.digits[digit];
  s.least |= static_cast<RankKey>(digit) << shift;
  s.missing = above + s.digits[digit] == missing ? 0 : missing - above;
}

// Writes the kTopLogits highest of n keys, or all where there are not more, in any order. Keys
// differ, so the last digit decides at the latest. All threads of a block call it.
template <class KeyAt>
__device__ void select_highest(int n, const KeyAt& key_at, Selection& s, RankKey* to) {
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    s.least = 0;
    s.count = 0;
    s.missing = n > kTopLogits ? kTopLogits : 0;
  }
  __syncthreads();
  for (int shift = 64 - kDigitBits; s.missing > 0; shift -= kDigitBits) {
    s.digits[thread] = 0;
    __syncthreads();
    for (int i = thread; i < n; i += kThreads) {
      const RankKey key = key_at(i);
      if ((key ^ s.least) >> shift >> kDigitBits == 0)
        atomicAdd(&s.digits[key >> shift & (kDigits - 1)], 1u);
    }
    __syncthreads();
    if (warp_index() == 0) choose_digit(s, shift);
    __syncthreads();
  }
  for (int i = thread; i < n; i += kThreads)
    if (const RankKey key = key_at(i); key >= s.least) to[atomicAdd(&s.count, 1u)] = key;
  __syncthreads();
}

// The highest first (Batcher's bitonic sort). All threads of a block call it.
__device__ void sort_keys(RankKey* keys) {
  const int thread = static_cast<int>(threadIdx.x);
  for (int size = 2; size <= kTopLogits; size *= 2)
    for (int distance = size / 2; distance > 0; distance /= 2) {
      const int other = thread ^ distance;
      if (other > thread) {
        const RankKey a = keys[thread], b = keys[other];
        if (((thread & size) == 0) == (a < b)) {
          keys[thread] = b;
          keys[other] = a;
        }
      }
      __syncthreads();
    }
}

__device__ bool is_ranked(const StepView& step, int output) {
  return output < step.counts->outputs && step.ranked[output] != 0;
}

__global__ void __launch_bounds__(kThreads) rank_chunks_kernel(Rank rank, StepView step) {
  __shared__ Selection selection;
  __shared__ float parts[2][kWarps];
  begin_kernel();
  const auto chunk = static_cast<int>(blockIdx.x), output = static_cast<int>(blockIdx.y);
  if (!is_ranked(step, output)) return;
  const int first = chunk * kRankChunk, n = min(kRankChunk, rank.vocab - first);
  const float* const logits = rank.logits + static_cast<std::size_t>(output) * rank.vocab + first;
  const std::size_t place = static_cast<std::size_t>(output) * rank.chunks + chunk;

  float most = -INFINITY, sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) most = fmaxf(most, logits[i]);
  most = block_max<kWarps>(most, parts[0]);
  const float shift = most > -INFINITY ? most : 0;
  // A NaN or +infinity makes the sum NaN.
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) sum += expf(logits[i] - shift);
  sum = block_sum<kWarps>(sum, parts[1]);
  if (threadIdx.x == 0) rank.sums[place] = make_float2(most, sum);

  const auto key_at = [&](int i) { return key_of(logits[i], first + i); };
  select_highest(n, key_at, selection, rank.keys + place * kTopLogits);
}

__global__ void __launch_bounds__(kThreads) rank_rows_kernel(Rank rank, StepView step) {
  __shared__ Selection selection;
  __shared__ RankKey best[kTopLogits];
  begin_kernel();
  const auto thread = static_cast<int>(threadIdx.x), output = static_cast<int>(blockIdx.x);
  if (!is_ranked(step, output)) return;
  const int chunks = rank.chunks;
  const std::size_t place = static_cast<std::size_t>(output) * chunks;
  const RankKey* const keys = rank.keys + place * kTopLogits;
  const int last = rank.vocab - (chunks - 1) * kRankChunk;
  best[thread] = 0;
  __syncthreads();
  select_highest((chunks - 1) * kTopLogits + min(last, kTopLogits), [=](int i) { return keys[i]; },
                 selection, best);
  sort_keys(best);

  TopLogits& to = rank.to[output];
  const int count = min(rank.vocab, kTopLogits);
  to.best[thread] = thread < count ? entry_of(best[thread]) : TopLogit{0, -1};
  if (thread != 0) return;
  const float2* const sums = rank.sums + place;
  float most = -INFINITY, sum = 0;
  for (int c = 0; c < chunks; ++c) most = fmaxf(most, sums[c].x);
  for (int c = 0; c < chunks; ++c) sum = fmaf(sums[c].y, expf(sums[c].x - most), sum);
  to.log_sum = logf(sum);
  to.count = isfinite(most) && isfinite(to.log_sum) ? count : 0;
}

}  // namespace

cudaError_t rank_chunks(const Rank& rank, const StepView& step, int outputs, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(rank.chunks), static_cast<unsigned>(outputs));
  return launch(rank_chunks_kernel, grid, kThreads, stream, rank, step);
}

cudaError_t rank_rows(const Rank& rank, const StepView& step, int outputs, cudaStream_t stream) {
  return launch(rank_rows_kernel, dim3(static_cast<unsigned>(outputs)), kThreads, stream, rank,
                step);
}

}  // namespace tyto::cuda
