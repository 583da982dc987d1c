// What attention in pairs works with: memory, which keys of a split a row sees, query vectors
// rounded to BF16, and weights, rounded too, from the scores of a whole split.
#pragma once
#include "cpu/kernels/attend_memory.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

constexpr int kStepKeys = 32;  // of one instruction
static_assert(kLanes == 16 && kPageTokens == 16 && kSplitKeys % kStepKeys == 0);

struct TileScratch {
  AttendScratch states;
  TileMemory at;
  std::byte *queries, *keys, *values;
  float* scores;

  TileScratch(const AttendArgs& args, int vectors)
      : states(divide_scratch(args.scratch, vectors, args.value_dim)),
        at(tile_memory(static_cast<std::size_t>(vectors), args.key_dim, args.value_dim)),
        queries(args.scratch + at.queries),
        keys(args.scratch + at.keys),
        values(args.scratch + at.values),
        scores(reinterpret_cast<float*>(args.scratch + at.scores)) {}
  std::size_t score_floats() const { return at.score_stride / sizeof(float); }  // of a row
};

// A pair of a row, for all lanes.
TYTO_INLINE Bytes pair_at(const void* row, std::size_t pair) {
  std::int32_t bits;
  std::memcpy(&bits, static_cast<const std::byte*>(row) + pair * sizeof(bits), sizeof(bits));
  return {_mm512_set1_epi32(bits)};
}

// Query vectors of one row, or their weights, `stride` bytes apart.
struct FewRows {
  const std::byte* first;
  std::size_t stride;
  TYTO_INLINE Bytes pair(int row, std::size_t pair) const {
    return pair_at(first + static_cast<std::size_t>(row) * stride, pair);
  }
};

// The keys of a split that a row sees, [begin, end), or that any of several rows sees.
struct SeenKeys {
  int begin = kSplitKeys, end = 0;

  SeenKeys() = default;
  SeenKeys(const AttendArgs& args, int row, int split)
      : begin(std::clamp(args.begin[row] - split * kSplitKeys, 0, kSplitKeys)),
        end(std::clamp(args.end[row] - split * kSplitKeys, 0, kSplitKeys)) {}
  void add(const SeenKeys& other) {
    begin = std::min(begin, other.begin);
    end = std::max(end, other.end);
  }
  int first_step() const { return begin / kStepKeys; }
  int last_step() const { return (end + kStepKeys - 1) / kStepKeys; }
  bool has(int first, int count) const { return begin <= first && first + count <= end; }
  bool has_any(int first, int count) const { return begin < first + count && first < end; }
  __mmask16 mask(int first) const {  // of 16 keys
    const int from = std::clamp(begin - first, 0, 16), to = std::clamp(end - first, 0, 16);
    return static_cast<__mmask16>(((1u << to) - 1) & ~((1u << from) - 1));
  }
};

inline void round_queries(const AttendArgs& args, int vectors, const TileScratch& s) {
  const auto dim = static_cast<std::size_t>(args.key_dim);
  for (int i = 0; i < vectors; ++i) {
    const float* q = args.q + static_cast<std::size_t>(i / args.group) * args.q_row_stride +
                     static_cast<std::size_t>(i % args.group) * dim;
    std::byte* out = s.queries + static_cast<std::size_t>(i) * s.at.query_stride;
    // To whole instructions of 32 dimensions; subnormal numbers are zero, as in tiles.
    for (std::size_t d = 0; d < round_up(dim, 32); d += kStep) {
      const Floats x = d < dim ? load(q + d, lanes_at(d, dim)) : broadcast(0.0f);
      _mm256_store_si256(reinterpret_cast<__m256i*>(out + d * 2), (__m256i)_mm512_cvtneps_pbh(x.v));
    }
  }
}

// 2^x for x that is not much above zero, relative error 2.6e-6; zero below 2^-126 and where `keep`
// is not set. NaN stays NaN. The polynomial is the minimax one for the fraction in [0, 1].
TYTO_INLINE __m512 exp2_where(__mmask16 keep, __m512 x) {
  const __m512 r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF);  // x - floor(x)
  __m512 p = _mm512_set1_ps(0.0135341679f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.0520114606f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.241442757f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.693003834f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.00000259f));
  const __mmask16 normal = _mm512_mask_cmp_ps_mask(keep, x, _mm512_set1_ps(-126.0f), _CMP_NLT_UQ);
  return _mm512_maskz_scalef_ps(normal, p, x);  // p * 2^floor(x)
}

// The largest scaled score that a query vector sees. NaN where there are no others.
inline float largest_score(const float* scores, const SeenKeys& seen, float scale) {
  const Floats factor = broadcast(scale);
  Floats even = broadcast(kNone), odd = even;
  for (int key = seen.first_step() * kStepKeys; key < seen.end; key += kStepKeys) {
    Floats a = load(scores + key) * factor, b = load(scores + key + kLanes) * factor;
    if (!seen.has(key, kStepKeys)) {
      a = keep_between(a, key, seen.begin, seen.end, kNone);
      b = keep_between(b, key + kLanes, seen.begin, seen.end, kNone);
    }
    even = max(even, a);
    odd = max(odd, b);
  }
  const float largest = max_of(max(even, odd));
  return largest == kNone ? none_or_nan(scores, seen.begin, seen.end) : largest;
}

// 32 scores become weights, as BF16; the totals are of the rounded weights, so that they sum to
// one.
TYTO_INLINE void weigh_step(const float* scores, Floats factor, Floats shift, __mmask16 low,
                            __mmask16 high, Floats& even, Floats& odd, void* out) {
  const __m512 a = exp2_where(low, fma(load(scores), factor, shift).v);
  const __m512 b = exp2_where(high, fma(load(scores + kLanes), factor, shift).v);
  const Bytes weights{(__m512i)_mm512_cvtne2ps_pbh(b, a)};
  even = even + high_halves(shift_left<16>(weights));
  odd = odd + high_halves(weights);
  store(weights, out);
}

// Turns a row of scores into weights, for the instructions that any row needs (`all`).
inline void weigh_row(float* scores, const SeenKeys& seen, const SeenKeys& all, float scale,
                      float& largest, float* totals) {
  constexpr float kLog2e = 1.44269504f;
  std::byte* const weights = reinterpret_cast<std::byte*>(scores);
  largest = seen.begin < seen.end ? largest_score(scores, seen, scale) : kNone;
  const bool none = largest == kNone;
  const int first = none ? all.last_step() : seen.first_step(),
            last = none ? all.last_step() : seen.last_step();
  const Floats factor = broadcast(scale * kLog2e), shift = broadcast(-largest * kLog2e);
  Floats even = broadcast(0.0f), odd = even;
  for (int step = all.first_step(); step < first; ++step)
    _mm512_store_si512(weights + step * 64, _mm512_setzero_si512());
  for (int step = first; step < last; ++step) {
    const int key = step * kStepKeys;
    if (seen.has(key, kStepKeys))
      weigh_step(scores + key, factor, shift, 0xffff, 0xffff, even, odd, weights + step * 64);
    else
      weigh_step(scores + key, factor, shift, seen.mask(key), seen.mask(key + kLanes), even, odd,
                 weights + step * 64);
  }
  for (int step = last; step < all.last_step(); ++step)
    _mm512_store_si512(weights + step * 64, _mm512_setzero_si512());
  store(even + odd, totals);
}

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
