// Attention of one or two query vectors to a BF16 cache: what AMX tiles
// compute (bf16_tiles-inl.h has the definition), by vectors and straight from the cache.
TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

// The scores of one query vector with 64 keys by vectors, as tiles compute them. A page that is not
// seen is not read; another one's scores stand in its place.
inline void score_by_vectors(const AttendArgs& args, int split, const quant::BF16* q,
                             const SeenKeys& seen, int from, float* scores) {
  const quant::BF16* keys[kBlockVectors];
  for (int v = 0; v < kBlockVectors; ++v) {
    const int key = std::clamp(from + v * kLanes, seen.begin, seen.end - 1);
    keys[v] = reinterpret_cast<const quant::BF16*>(page_part(args, split * kSplitKeys + key));
  }
  Floats acc[kBlockVectors];
  for (Floats& sum : acc) sum = broadcast(0.0f);
  for (int first = 0; first < args.key_dim; first += 32) {
    Floats even[kBlockVectors], odd[kBlockVectors];
    TYTO_UNROLL for (int v = 0; v < kBlockVectors; ++v) even[v] = odd[v] = broadcast(0.0f);
    for (int d = first; d < std::min(first + 32, args.key_dim); d += 2) {
      const Floats x = broadcast(quant::to_float(q[d])), y = broadcast(quant::to_float(q[d + 1]));
      TYTO_UNROLL for (int v = 0; v < kBlockVectors; ++v) even[v] =
          fma(load(keys[v] + d * kPageTokens), x, even[v]);
      if (d + 1 == args.key_dim) break;
      TYTO_UNROLL for (int v = 0; v < kBlockVectors; ++v) odd[v] =
          fma(load(keys[v] + (d + 1) * kPageTokens), y, odd[v]);
    }
    TYTO_UNROLL for (int v = 0; v < kBlockVectors; ++v) acc[v] = acc[v] + (even[v] + odd[v]);
  }
  TYTO_UNROLL for (int v = 0; v < kBlockVectors; ++v) store(acc[v], scores + from + v * kLanes);
}

// kColumns vectors of its sum of values from `column` on, the last of `lanes`.
template <int kColumns>
inline void sum_by_vectors(const AttendArgs& args, int split, const quant::BF16* weights,
                           const SeenKeys& seen, int column, int lanes, float* sums) {
  const PartLayout layout = part_layout(CacheType::bf16, args.key_dim, args.value_dim);
  Floats acc[kColumns];
  for (Floats& sum : acc) sum = broadcast(0.0f);
  for (int step = seen.first_step(); step < seen.last_step(); ++step) {
    Floats both[2][kColumns];  // keys with even and with odd numbers
    TYTO_UNROLL for (int c = 0; c < kColumns; ++c) both[0][c] = both[1][c] = broadcast(0.0f);
    const int end = std::min((step + 1) * kStepKeys, seen.end);
    for (int key = std::max(step * kStepKeys, seen.begin); key < end; ++key) {
      const auto* value = reinterpret_cast<const quant::BF16*>(
                              page_part(args, split * kSplitKeys + key) + layout.values) +
                          key % kPageTokens * args.value_dim + column;
      const Floats weight = broadcast(quant::to_float(weights[key]));
      Floats(&sum)[kColumns] = both[key % 2];
      TYTO_UNROLL for (int c = 0; c < kColumns; ++c) sum[c] =
          fma(kColumns > 1 ? load(value + c * kLanes) : load(value, lanes), weight, sum[c]);
    }
    TYTO_UNROLL for (int c = 0; c < kColumns; ++c) acc[c] = acc[c] + (both[0][c] + both[1][c]);
  }
  TYTO_UNROLL for (int c = 0; c < kColumns; ++c)
      store(acc[c] + broadcast(0.0f), sums + column + c * kLanes);
}

// Subnormal numbers are zero, as in tiles.
struct FewByVectors {
  using Scope = SubnormalsAreZero;
  static constexpr int kMost = 1;

  template <int kRows>
  static void score(const AttendArgs& args, int split, const FewRows& q, const SeenKeys& seen,
                    float* scores, std::size_t) {
    static_assert(kRows == 1);
    for (int from = seen.begin / kBlockKeys * kBlockKeys; from < seen.end; from += kBlockKeys)
      score_by_vectors(args, split, reinterpret_cast<const quant::BF16*>(q.first), seen, from,
                       scores);
  }
  template <int kRows>
  static void sum(const AttendArgs& args, int split, const FewRows& weights, const SeenKeys& seen,
                  float* sums, std::size_t) {
    static_assert(kRows == 1);
    const auto* of = reinterpret_cast<const quant::BF16*>(weights.first);
    int d = 0;
    for (; d + 4 * kLanes <= args.value_dim; d += 4 * kLanes)
      sum_by_vectors<4>(args, split, of, seen, d, kLanes, sums);
    for (; d < args.value_dim; d += kLanes)
      sum_by_vectors<1>(args, split, of, seen, d, std::min(kLanes, args.value_dim - d), sums);
  }
};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
