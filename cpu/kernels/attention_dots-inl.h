// Attention in pairs (attention_pairs-inl.h) by dot products of vectors (AVX512-BF16). What one
// instruction computes is acc plus the products of a pair; pairs ascend, whatever the shape.
TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

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

// The scores of kRows query vectors with the keys of kPages pages, straight from the cache. A page
// that is not seen is not read; another one's scores stand in its place.
template <int kRows, int kPages>
inline void score_by_dots(const AttendArgs& args, int split, const FewRows& q, const SeenKeys& seen,
                          int from, float* scores, std::size_t score_stride) {
  constexpr std::size_t kRow = kPageTokens * sizeof(quant::BF16);
  const std::byte *keys[kPages], *ahead[kPages];
  for (int p = 0; p < kPages; ++p) {
    const int key = split * kSplitKeys + std::clamp(from + p * kLanes, seen.begin, seen.end - 1);
    keys[p] = page_part(args, key);
    ahead[p] = page_ahead(args, key);
  }
  Floats acc[kRows][kPages];
  TYTO_UNROLL for (int r = 0; r < kRows; ++r) TYTO_UNROLL for (int p = 0; p < kPages; ++p)
      acc[r][p] = broadcast(0.0f);
  const auto add = [&](std::size_t pair, const Bytes(&k)[kPages]) {
    TYTO_UNROLL for (int r = 0; r < kRows; ++r) {
      const Bytes x = q.pair(r, pair);
      TYTO_UNROLL for (int p = 0; p < kPages; ++p) acc[r][p] = dot_bf16(acc[r][p], k[p], x);
    }
  };
  const auto pairs = static_cast<std::size_t>(args.key_dim) / 2;
  Bytes k[kPages];
  for (std::size_t pair = 0; pair < pairs; ++pair) {
    TYTO_UNROLL for (int p = 0; p < kPages; ++p) {
      prefetch_second_level(ahead[p] + 2 * pair * kRow);
      k[p] = pairs_of(_mm512_loadu_si512(keys[p] + 2 * pair * kRow));
    }
    add(pair, k);
  }
  if (args.key_dim % 2 != 0) {
    TYTO_UNROLL for (int p = 0; p < kPages; ++p) k[p] = pairs_of(_mm512_zextsi256_si512(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(keys[p] + 2 * pairs * kRow))));
    add(pairs, k);
  }
  TYTO_UNROLL for (int r = 0; r < kRows; ++r) TYTO_UNROLL for (int p = 0; p < kPages; ++p)
      store(acc[r][p], scores + static_cast<std::size_t>(r) * score_stride + from + p * kLanes);
}

// 32 values of two tokens as pairs: of the first 16, and of the others.
TYTO_INLINE void pairs_of_two(__m512i even, __m512i odd, Bytes (&out)[2]) {
  alignas(64) static constexpr std::uint16_t kFirst[32] = {
      0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
      8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i first = _mm512_load_si512(kFirst);
  out[0] = {_mm512_permutex2var_epi16(even, first, odd)};
  out[1] = {_mm512_permutex2var_epi16(even, _mm512_or_si512(first, _mm512_set1_epi16(16)), odd)};
}

// Which of a sum's 32 values from `column` on are there, and where.
struct SumPart {
  float* first;  // of the first query vector; others are `stride` floats apart
  std::size_t stride;
  int column;
  __mmask32 lanes;
  TYTO_INLINE float* at(int row, int half) const {
    return first + static_cast<std::size_t>(row) * stride + column + half * kLanes;
  }
  TYTO_INLINE int halves() const { return lanes >> kLanes != 0 ? 2 : 1; }
};

// Adds what keys [from, to) of one page bring.
template <int kRows>
TYTO_INLINE void sum_page(const AttendArgs& args, int split, const FewRows& weights,
                          const SeenKeys& seen, int from, int to, const SumPart& part,
                          Floats (&acc)[kRows][2]) {
  const auto row = static_cast<std::size_t>(args.value_dim) * sizeof(quant::BF16);
  const std::size_t place = part_layout(CacheType::bf16, args.key_dim, args.value_dim).values +
                            static_cast<std::size_t>(from % kPageTokens) * row +
                            static_cast<std::size_t>(part.column) * sizeof(quant::BF16);
  const int known = split * kSplitKeys + std::max(from, seen.begin);
  const std::byte *value = page_part(args, known) + place, *ahead = page_ahead(args, known) + place;
  const bool all = seen.has(from, to - from);
  for (int key = from; key < to; key += 2, value += 2 * row, ahead += 2 * row) {
    prefetch_second_level(ahead);
    prefetch_second_level(ahead + row);
    const __mmask32 even = all || seen.has(key, 1) ? part.lanes : 0,
                    odd = all || seen.has(key + 1, 1) ? part.lanes : 0;
    Bytes v[2];
    pairs_of_two(_mm512_maskz_loadu_epi16(even, value), _mm512_maskz_loadu_epi16(odd, value + row),
                 v);
    TYTO_UNROLL for (int r = 0; r < kRows; ++r) {
      const Bytes weight = weights.pair(r, static_cast<std::size_t>(key) / 2);
      TYTO_UNROLL for (int c = 0; c < 2; ++c) acc[r][c] = dot_bf16(acc[r][c], v[c], weight);
    }
  }
}

// Adds what keys [from, to) bring to a part of the sums of kRows query vectors.
template <int kRows>
inline void sum_by_dots(const AttendArgs& args, int split, const FewRows& weights,
                        const SeenKeys& seen, int from, int to, const SumPart& part) {
  Floats acc[kRows][2];
  TYTO_UNROLL for (int r = 0; r < kRows; ++r) TYTO_UNROLL for (int c = 0; c < 2; ++c) acc[r][c] =
      c < part.halves() ? load(part.at(r, c)) : broadcast(0.0f);
  for (int next; from < to; from = next) {
    next = std::min((from / kPageTokens + 1) * kPageTokens, (to + 1) / 2 * 2);
    sum_page(args, split, weights, seen, from, next, part, acc);
  }
  TYTO_UNROLL for (int r = 0; r < kRows; ++r)
      TYTO_UNROLL for (int c = 0; c < 2; ++c) if (c < part.halves())
          store(acc[r][c] + broadcast(0.0f), part.at(r, c));
}

struct FewByDots {
  struct Scope {};                 // the instruction takes subnormal numbers for zero
  static constexpr int kMost = 8;  // 16 sums, with pairs of two pages, or of 32 values

  template <int kRows>
  static void score(const AttendArgs& args, int split, const FewRows& q, const SeenKeys& seen,
                    float* scores, std::size_t stride) {
    constexpr int kPages = kRows > 4 ? 2 : 4, kKeys = kPages * kLanes;
    for (int from = seen.begin / kKeys * kKeys; from < seen.end; from += kKeys)
      score_by_dots<kRows, kPages>(args, split, q, seen, from, scores, stride);
  }
  // Some keys at a time, so that memory is asked for what comes next while they are used.
  template <int kRows>
  static void sum(const AttendArgs& args, int split, const FewRows& weights, const SeenKeys& seen,
                  float* sums, std::size_t stride) {
    for (int from = seen.begin / 2 * 2; from < seen.end;) {
      const int to = std::min(seen.end, (from / kChunkKeys + 1) * kChunkKeys);
      for (int d = 0; d < args.value_dim; d += 2 * kLanes) {
        const int count = std::min(2 * kLanes, args.value_dim - d);
        const auto lanes = static_cast<__mmask32>((std::uint64_t{1} << count) - 1);
        sum_by_dots<kRows>(args, split, weights, seen, from, to, {sums, stride, d, lanes});
      }
      from = to;
    }
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
