// Attention to a BF16 cache by products of pairs, a split of the keys at a time: all scores, then
// all weights, then the sums of values. Query vectors and weights are rounded to BF16. What
// multiplies is a Unit: AMX tiles (attention_tiles-inl.h) or vectors (attention_dots-inl.h), with
//   Scope                       exists while products are made, of so many query vectors
//   Few                         the same for up to Few::kMost query vectors of one row, straight
//                               from the cache: score<kRows> and sum<kRows> within a Few::Scope
//   add<kTiles, kPanels>        adds products of up to 16 kTiles rows, or begins with them
//
// For every query vector the same operations happen in the same order, whichever others come along.
// Rows do not mix, and a step takes 32 keys at fixed slots. A key that a vector does not see has
// the weight zero, which adds zero as long as the value is finite: values that no row of the call
// sees are replaced by zeros, and where one is not finite that some rows see, each row is a call of
// its own.
TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

// 16 pairs of numbers that lie in the two halves.
TYTO_INLINE Bytes pairs_of(__m512i halves) {
  alignas(64) static constexpr std::uint16_t kOrder[32] = {
      0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return {_mm512_permutexvar_epi16(_mm512_load_si512(kOrder), halves)};
}
TYTO_INLINE void store_pairs(__m512i halves, std::byte* to) {
  _mm512_store_si512(to, pairs_of(halves).v);
}
TYTO_INLINE __m512i join(__m256i low, __m256i high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

// The keys of a page.
inline void pair_keys(const std::byte* part, const std::byte* ahead, int key_dim, std::byte* out) {
  constexpr std::size_t kRow = kPageTokens * sizeof(quant::BF16);
  const auto dim = static_cast<std::size_t>(key_dim);
  std::size_t d = 0;
  for (; d + 2 <= dim; d += 2, out += kLine) {
    prefetch_second_level(ahead + d * kRow);
    store_pairs(_mm512_loadu_si512(part + d * kRow), out);
  }
  for (; d < round_up(dim, 32); d += 2, out += kLine) {
    __m512i last = _mm512_setzero_si512();
    if (d < dim)
      last = _mm512_zextsi256_si512(
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(part + d * kRow)));
    _mm512_store_si512(out, _mm512_cvtepu16_epi32(_mm512_castsi512_si256(last)));
  }
}

// The values of a page whose first key is `first`; zero for keys that are not seen.
inline void pair_values(const quant::BF16* values, const quant::BF16* ahead, int value_dim,
                        const SeenKeys& seen, int first, std::byte* out, std::size_t stride) {
  const auto dim = static_cast<std::size_t>(value_dim);
  for (int key = first; key < first + kPageTokens;
       key += 2, values += 2 * dim, ahead += 2 * dim, out += kLine) {
    const bool even = seen.has(key, 1), odd = seen.has(key + 1, 1);
    std::byte* to = out;
    for (std::size_t d = 0; d < dim; d += kStep, to += stride) {
      const auto lanes = static_cast<__mmask16>((1u << lanes_at(d, dim)) - 1);
      prefetch_second_level(reinterpret_cast<const std::byte*>(ahead + 2 * d));
      store_pairs(join(_mm256_maskz_loadu_epi16(even ? lanes : 0, values + d),
                       _mm256_maskz_loadu_epi16(odd ? lanes : 0, values + dim + d)),
                  to);
    }
  }
}

// A page that comes later, of which a line is asked for with every line of this one: so memory
// works while pairs are made. This one itself where there is none that the last row sees.
inline const std::byte* page_ahead(const AttendArgs& args, int key) {
  constexpr int kAheadKeys = 4 * kPageTokens;
  const int end = std::min(args.last_split * kSplitKeys, args.end[args.rows - 1]);
  return page_part(args, key + kAheadKeys < end ? key + kAheadKeys : key);
}

// Keys [from, to) of a split in pairs. Nothing is read of pages that no row sees.
inline void pair_keys(const AttendArgs& args, int split, const SeenKeys& all, int from, int to,
                      const TileScratch& s) {
  std::byte* out = s.keys;
  for (int key = from; key < to; key += kPageTokens, out += s.at.key_stride) {
    if (all.has_any(key, kPageTokens)) {
      const int at = split * kSplitKeys + key;
      pair_keys(page_part(args, at), page_ahead(args, at), args.key_dim, out);
    }
  }
}

inline void pair_values(const AttendArgs& args, int split, const SeenKeys& all, int from, int to,
                        const TileScratch& s) {
  const PartLayout layout = part_layout(CacheType::bf16, args.key_dim, args.value_dim);
  for (int key = from; key < to; key += kPageTokens) {
    // Of a page that no row sees nothing is read: any other stands for it.
    const int seen = std::clamp(key, all.begin, all.end - 1);
    const int at = split * kSplitKeys + seen;
    const auto values_of = [&](const std::byte* part) {
      return reinterpret_cast<const quant::BF16*>(part + layout.values);
    };
    pair_values(values_of(page_part(args, at)), values_of(page_ahead(args, at)), args.value_dim,
                all, key, s.values + static_cast<std::size_t>(key - from) / 2 * kLine,
                s.at.value_stride);
  }
}

template <class Unit, int kTiles>
void score_chunk(const AttendArgs& args, int first, int rows, int from, int to,
                 const TileScratch& s) {
  const std::byte* const queries = s.queries + static_cast<std::size_t>(first) * s.at.query_stride;
  const std::byte* keys = s.keys;
  const std::size_t steps = (static_cast<std::size_t>(args.key_dim) + 31) / 32;
  for (int key = from; key < to; key += kStepKeys, keys += 2 * s.at.key_stride)
    Unit::template add<kTiles, 2>(TilePanels{keys, s.at.key_stride},
                                  whole_records(queries, s.at.query_stride), rows, steps, true,
                                  s.scores + key, s.score_floats());
}

template <class Unit, int kTiles>
void sum_chunk(int first, int rows, int from, int to, bool begin, const TileScratch& s) {
  const Activations weights =
      whole_records(reinterpret_cast<const std::byte*>(s.scores) +
                        static_cast<std::size_t>(from) * sizeof(quant::BF16),
                    s.at.score_stride);
  const std::size_t stride = s.states.stride, steps = static_cast<std::size_t>(to - from) / 32;
  float* sums = s.states.sums + static_cast<std::size_t>(first) * stride;
  const std::byte* values = s.values;
  for (std::size_t d = 0; d < stride; d += 2 * kStep, values += 2 * s.at.value_stride)
    if (d + kStep < stride)
      Unit::template add<kTiles, 2>(TilePanels{values, s.at.value_stride}, weights, rows, steps,
                                    begin, sums + d, stride);
    else
      Unit::template add<kTiles, 1>(TilePanels{values, s.at.value_stride}, weights, rows, steps,
                                    begin, sums + d, stride);
}

// Keys and values are paired in chunks. One group of query vectors uses a chunk while it is in the
// first-level cache; several use the whole split that the first of them left.
constexpr int kGroupVectors = 32, kChunkKeys = 64;

// kTiles * 16 query vectors from `first` on, or as many as there are, and what they see of a split.
template <class Unit, int kTiles>
void attend_group(const AttendArgs& args, int split, int first, int vectors, const SeenKeys& all,
                  const TileScratch& s) {
  const int chunk = vectors > kGroupVectors ? kSplitKeys : kChunkKeys;
  const int rows = std::min(vectors - first, kTiles * 16);
  const int begin = all.begin / kStepKeys * kStepKeys,
            end = (all.end + kStepKeys - 1) / kStepKeys * kStepKeys;
  for (int from = begin; from < end; from += chunk) {
    const int to = std::min(from + chunk, end);
    if (first == 0) pair_keys(args, split, all, from, to, s);
    score_chunk<Unit, kTiles>(args, first, rows, from, to, s);
  }
  for (int i = first; i < first + rows; ++i)
    weigh_row(s.scores + static_cast<std::size_t>(i - first) * s.score_floats(),
              SeenKeys(args, i / args.group, split), all, args.scale, s.states.largest[i],
              s.states.totals + i * kLanes);
  for (int from = begin; from < end; from += chunk) {
    const int to = std::min(from + chunk, end);
    if (first == 0) pair_values(args, split, all, from, to, s);
    sum_chunk<Unit, kTiles>(first, rows, from, to, from == begin, s);
  }
}

// For so few query vectors, pairing keys and values takes longer than multiplying them: one vector
// at 4000 keys of 64 dimensions takes 38 us instead of 47 beside tiles, and more so when they come
// from memory. Those of one row, up to Few::kMost, see the same keys and share what is read.
constexpr int kFewVectors = 2;

template <class Few, int kRows>
void attend_some(const AttendArgs& args, int split, int first, const SeenKeys& seen,
                 const TileScratch& s) {
  const std::size_t stride = s.states.stride;
  float* const sums = s.states.sums + static_cast<std::size_t>(first) * stride;
  std::fill_n(sums, kRows * stride, 0.0f);
  std::fill_n(s.states.totals + first * kLanes, kRows * kLanes, 0.0f);
  std::fill_n(s.states.largest + first, kRows, kNone);
  if (seen.begin >= seen.end) return;
  {
    [[maybe_unused]] const typename Few::Scope scope;
    Few::template score<kRows>(
        args, split,
        {s.queries + static_cast<std::size_t>(first) * s.at.query_stride, s.at.query_stride}, seen,
        s.scores, s.score_floats());
  }
  for (int r = 0; r < kRows; ++r)
    weigh_row(s.scores + static_cast<std::size_t>(r) * s.score_floats(), seen, seen, args.scale,
              s.states.largest[first + r], s.states.totals + (first + r) * kLanes);
  [[maybe_unused]] const typename Few::Scope scope;
  Few::template sum<kRows>(args, split,
                           {reinterpret_cast<const std::byte*>(s.scores), s.at.score_stride}, seen,
                           sums, stride);
}

// The `count` vectors from `first` on; at most kRows.
template <class Few, int kRows>
void attend_some_of(const AttendArgs& args, int split, int first, int count, const SeenKeys& seen,
                    const TileScratch& s) {
  if (count == kRows) return attend_some<Few, kRows>(args, split, first, seen, s);
  if constexpr (kRows > 1) attend_some_of<Few, kRows - 1>(args, split, first, count, seen, s);
}

template <class Few>
void attend_few(const AttendArgs& args, int split, const TileScratch& s) {
  for (int r = 0; r < args.rows; ++r) {
    const SeenKeys seen(args, r, split);
    for (int i = 0; i < args.group; i += Few::kMost)
      attend_some_of<Few, Few::kMost>(args, split, r * args.group + i,
                                      std::min(Few::kMost, args.group - i), seen, s);
  }
}

template <class Unit>
void attend_split(const AttendArgs& args, int split, int vectors, const TileScratch& s) {
  using Few = typename Unit::Few;
  if (vectors <= (args.rows == 1 ? std::max(kFewVectors, Few::kMost) : kFewVectors))
    return attend_few<Few>(args, split, s);
  const std::size_t floats = static_cast<std::size_t>(vectors) * s.states.stride;
  SeenKeys all;
  for (int r = 0; r < args.rows; ++r) {
    const SeenKeys row(args, r, split);
    if (row.begin < row.end) all.add(row);
  }
  if (all.begin >= all.end) {
    std::fill_n(s.states.largest, vectors, kNone);
    std::fill_n(s.states.totals, vectors * kLanes, 0.0f);
    std::fill_n(s.states.sums, floats, 0.0f);
    return;
  }
  for (int i = 0; i < vectors; i += kGroupVectors)
    if (vectors - i > kGroupVectors / 2)
      attend_group<Unit, 2>(args, split, i, vectors, all, s);
    else
      attend_group<Unit, 1>(args, split, i, vectors, all, s);
  // Units flush sums to zeros of either sign; zeros that other rows' keys add would make it plus.
  for (std::size_t i = 0; i < floats; i += kStep)
    store(load(s.states.sums + i) + broadcast(0.0f), s.states.sums + i);
}

template <class Unit>
void attend_rows(const AttendArgs& args) {
  const int vectors = args.rows * args.group;
  const TileScratch s(args, vectors);
  [[maybe_unused]] const typename Unit::Scope scope(vectors);
  round_queries(args, vectors, s);
  std::fill_n(s.states.all_largest, vectors, kNone);
  for (int split = args.first_split; split < args.last_split; ++split) {
    attend_split<Unit>(args, split, vectors, s);
    end_split(args, split, vectors, s.states);
  }
  if (args.partials == nullptr) finish(args, vectors, s.states);
}

inline bool is_finite(const AttendArgs& args, int first_key, int last_key) {
  const PartLayout layout = part_layout(CacheType::bf16, args.key_dim, args.value_dim);
  const auto dim = static_cast<std::size_t>(args.value_dim);
  const __m256i exponent = _mm256_set1_epi16(0x7f80);
  __mmask16 found = 0;
  for (int key = first_key; key < last_key; ++key) {
    const std::byte* part = page_part(args, key);
    const auto* value = reinterpret_cast<const quant::BF16*>(part + layout.values) +
                        static_cast<std::size_t>(key % kPageTokens) * dim;
    for (std::size_t d = 0; d < dim; d += kStep) {
      const auto lanes = static_cast<__mmask16>((1u << lanes_at(d, dim)) - 1);
      const __m256i bits = _mm256_maskz_loadu_epi16(lanes, value + d);
      found |= _mm256_cmpeq_epi16_mask(_mm256_and_si256(bits, exponent), exponent);
    }
  }
  return found == 0;
}

// Of the keys that some rows see and others may not.
inline bool is_finite_where_rows_differ(const AttendArgs& args) {
  int first = args.begin[0], all_from = first, last = args.end[0], all_to = last;
  for (int r = 1; r < args.rows; ++r) {
    first = std::min(first, args.begin[r]);
    all_from = std::max(all_from, args.begin[r]);
    last = std::max(last, args.end[r]);
    all_to = std::min(all_to, args.end[r]);
  }
  if (all_from >= all_to) return is_finite(args, first, last);
  return is_finite(args, first, all_from) && is_finite(args, all_to, last);
}

template <class Unit>
void attend_in_pairs(const AttendArgs& args) {
  if (is_finite_where_rows_differ(args)) return attend_rows<Unit>(args);
  AttendArgs row = args;
  row.rows = 1;
  for (int r = 0; r < args.rows; ++r) {
    attend_rows<Unit>(row);
    row.q += args.q_row_stride;
    row.out += args.out_row_stride;
    if (args.partials != nullptr) row.partials += args.partial_row_stride;
    ++row.begin;
    ++row.end;
  }
}

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
