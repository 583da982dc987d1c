// Attention in pairs (attention_pairs-inl.h) by dot products of vectors (AVX512-BF16). What one
// instruction computes is acc plus the products of a pair; pairs ascend, whatever the shape.
TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

// A pair of a row, for all lanes.
TYTO_INLINE Bytes pair_at(const void* row, std::size_t pair) {
  std::int32_t bits;
  std::memcpy(&bits, static_cast<const std::byte*>(row) + pair * sizeof(bits), sizeof(bits));
  return {_mm512_set1_epi32(bits)};
}

// kRows rows times kPanels panels, steps of 16 pairs.
template <int kRows, int kPanels>
inline void add_dots(const TilePanels& panels, const std::byte* rows, std::size_t stride,
                     std::size_t steps, bool begin, float* out, std::size_t out_stride) {
  Floats acc[kRows][kPanels];
  TYTO_UNROLL for (int r = 0; r < kRows; ++r) TYTO_UNROLL for (int p = 0; p < kPanels; ++p)
      acc[r][p] = begin ? broadcast(0.0f)
                        : load(out + static_cast<std::size_t>(r) * out_stride + p * kLanes);
  for (std::size_t pair = 0; pair < steps * 16; ++pair) {
    Bytes weights[kPanels];
    TYTO_UNROLL for (int p = 0; p < kPanels; ++p) weights[p] =
        load_bytes(panels.first + static_cast<std::size_t>(p) * panels.stride + pair * kLine);
    TYTO_UNROLL for (int r = 0; r < kRows; ++r) {
      const Bytes x = pair_at(rows + static_cast<std::size_t>(r) * stride, pair);
      TYTO_UNROLL for (int p = 0; p < kPanels; ++p) acc[r][p] = dot_bf16(acc[r][p], weights[p], x);
    }
  }
  TYTO_UNROLL for (int r = 0; r < kRows; ++r) TYTO_UNROLL for (int p = 0; p < kPanels; ++p)
      store(acc[r][p], out + static_cast<std::size_t>(r) * out_stride + p * kLanes);
}

// As many times kRows rows as there are.
template <int kRows, int kPanels>
inline void add_rows(const TilePanels& panels, const std::byte*& from, std::size_t stride,
                     int& rows, std::size_t steps, bool begin, float*& out,
                     std::size_t out_stride) {
  for (; rows >= kRows; rows -= kRows, from += kRows * stride, out += kRows * out_stride)
    add_dots<kRows, kPanels>(panels, from, stride, steps, begin, out, out_stride);
}

// The scores of a query vector with 64 keys, straight from the cache. A page that is not seen
// is not read; another one's scores stand in its place.
inline void score_by_dots(const AttendArgs& args, int split, const std::byte* q,
                          const SeenKeys& seen, int from, float* scores) {
  constexpr std::size_t kRow = kPageTokens * sizeof(quant::BF16);
  const std::byte* keys[kBlockVectors];
  for (int v = 0; v < kBlockVectors; ++v) {
    const int key = std::clamp(from + v * kLanes, seen.begin, seen.end - 1);
    keys[v] = page_part(args, split * kSplitKeys + key);
  }
  Floats acc[kBlockVectors];
  for (Floats& sum : acc) sum = broadcast(0.0f);
  const auto pairs = static_cast<std::size_t>(args.key_dim) / 2;
  for (std::size_t pair = 0; pair < pairs; ++pair) {
    const Bytes x = pair_at(q, pair);
    TYTO_UNROLL for (int v = 0; v < kBlockVectors; ++v) acc[v] =
        dot_bf16(acc[v], pairs_of(_mm512_loadu_si512(keys[v] + 2 * pair * kRow)), x);
  }
  if (args.key_dim % 2 != 0)
    TYTO_UNROLL for (int v = 0; v < kBlockVectors; ++v) acc[v] = dot_bf16(
        acc[v],
        pairs_of(_mm512_zextsi256_si512(
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(keys[v] + 2 * pairs * kRow)))),
        pair_at(q, pairs));
  TYTO_UNROLL for (int v = 0; v < kBlockVectors; ++v) store(acc[v], scores + from + v * kLanes);
}

// kColumns vectors of its sum of values from `column` on, the last of `lanes`.
template <int kColumns>
inline void sum_by_dots(const AttendArgs& args, int split, const void* weights,
                        const SeenKeys& seen, int column, int lanes, float* sums) {
  const PartLayout layout = part_layout(CacheType::bf16, args.key_dim, args.value_dim);
  const auto last = static_cast<__mmask16>((1u << lanes) - 1);
  Floats acc[kColumns];
  for (Floats& sum : acc) sum = broadcast(0.0f);
  for (int key = seen.begin / 2 * 2; key < seen.end; key += 2) {
    const int known = std::max(key, seen.begin);
    const auto* value = reinterpret_cast<const quant::BF16*>(
                            page_part(args, split * kSplitKeys + known) + layout.values) +
                        key % kPageTokens * args.value_dim + column;
    const __mmask16 even = seen.has(key, 1) ? last : 0, odd = seen.has(key + 1, 1) ? last : 0;
    const Bytes weight = pair_at(weights, static_cast<std::size_t>(key) / 2);
    TYTO_UNROLL for (int c = 0; c < kColumns; ++c) acc[c] =
        dot_bf16(acc[c],
                 pairs_of(join(_mm256_maskz_loadu_epi16(even, value + c * kLanes),
                               _mm256_maskz_loadu_epi16(odd, value + args.value_dim + c * kLanes))),
                 weight);
  }
  TYTO_UNROLL for (int c = 0; c < kColumns; ++c)
      store(acc[c] + broadcast(0.0f), sums + column + c * kLanes);
}

struct FewByDots {
  struct Scope {};  // the instruction takes subnormal numbers for zero
  static void score(const AttendArgs& args, int split, const std::byte* q, const SeenKeys& seen,
                    int from, float* scores) {
    score_by_dots(args, split, q, seen, from, scores);
  }
  template <int kColumns>
  static void sum(const AttendArgs& args, int split, const float* weights, const SeenKeys& seen,
                  int column, int lanes, float* sums) {
    sum_by_dots<kColumns>(args, split, weights, seen, column, lanes, sums);
  }
};

struct DotVectors {
  struct Scope {
    explicit Scope(int) {}
  };
  using Few = FewByDots;

  template <int, int kPanels>
  static void add(const TilePanels& panels, const Activations& x, int rows, std::size_t steps,
                  bool begin, float* out, std::size_t out_stride) {
    const std::byte* from = x.first;
    add_rows<8, kPanels>(panels, from, x.stride, rows, steps, begin, out, out_stride);
    add_rows<4, kPanels>(panels, from, x.stride, rows, steps, begin, out, out_stride);
    add_rows<1, kPanels>(panels, from, x.stride, rows, steps, begin, out, out_stride);
  }
};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
