// Attention over cache pages; see AttendArgs. For every query vector the same operations happen in
// the same order, whichever others share its tile: keys in blocks of kBlockKeys at fixed slots,
// splits of kSplitKeys, both ascending.
TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

constexpr int kBlockKeys = 64;  // keys between two updates of the largest score
constexpr int kBlockVectors = kBlockKeys / kLanes;
constexpr float kNone = -std::numeric_limits<float>::infinity();  // a largest score of no keys
static_assert(kSplitKeys % kBlockKeys == 0 && kBlockKeys % kPageTokens == 0 &&
              kPageTokens % kLanes == 0);

// Memory of one call. The split under way has a vector of partial totals per query vector: key s
// adds to lane s % kLanes.
struct AttendScratch {
  float *largest, *totals, *sums;              // of the split: [vectors], [.., lanes], [.., stride]
  float *all_largest, *all_totals, *all_sums;  // of the splits before it
  std::size_t stride;                          // floats of a weighted sum, whole vectors
};

inline AttendScratch divide_scratch(std::byte* memory, int vectors, int value_dim) {
  const std::size_t n = round_up(static_cast<std::size_t>(vectors), 16);
  AttendScratch s;
  s.stride = round_up(static_cast<std::size_t>(value_dim), 16);
  s.largest = reinterpret_cast<float*>(memory);
  s.totals = s.largest + n;
  s.sums = s.totals + n * 16;
  s.all_largest = s.sums + n * s.stride;
  s.all_totals = s.all_largest + n;
  s.all_sums = s.all_totals + n;
  return s;
}

// A block of keys.
template <class Element>
struct KeyBlock {
  Keys<Element> keys[kBlockVectors];
  Values<Element> values[kBlockKeys / kPageTokens];  // of each page
  int first;                                         // slot of the first key
};

template <class Element, int kN, int kKeys>
inline void score_vectors(const float* const* q, int dim, const Keys<Element>* keys, float scale,
                          float (*out)[kBlockKeys], int at) {
  Floats sums[kN][kKeys];
  TYTO_UNROLL for (int i = 0; i < kN; ++i) TYTO_UNROLL for (int j = 0; j < kKeys; ++j) sums[i][j] =
      broadcast(0.0f);
  for (int d = 0; d < dim; ++d) {
    Floats key[kKeys];
    TYTO_UNROLL for (int j = 0; j < kKeys; ++j) key[j] = keys[j].at(d);
    TYTO_UNROLL for (int i = 0; i < kN; ++i) {
      const Floats x = broadcast(q[i][d]);
      TYTO_UNROLL for (int j = 0; j < kKeys; ++j) sums[i][j] = fma(x, key[j], sums[i][j]);
    }
  }
  const Floats factor = broadcast(scale);
  TYTO_UNROLL for (int i = 0; i < kN; ++i) TYTO_UNROLL for (int j = 0; j < kKeys; ++j)
      store(sums[i][j] * factor, out[i] + at + j * kLanes);
}

template <class Element, int kN>
inline void score_block(const float* const* q, int dim, const KeyBlock<Element>& block, int vectors,
                        float scale, float (*out)[kBlockKeys]) {
  constexpr int kKeys = kN * 2 > kQueries ? 2 : 4;
  int v = 0;
  for (; v + kKeys <= vectors; v += kKeys)
    score_vectors<Element, kN, kKeys>(q, dim, block.keys + v, scale, out, v * kLanes);
  for (; v < vectors; ++v)
    score_vectors<Element, kN, 1>(q, dim, block.keys + v, scale, out, v * kLanes);
}

// max() may prefer any number to NaN: what the largest of scores [begin, end) is where that looks
// like none.
inline float none_or_nan(const float* scores, int begin, int end) {
  for (int i = begin; i < end; ++i)
    if (scores[i] != scores[i]) return scores[i];
  return kNone;
}

// Turns the scores of one query vector into weights; it sees keys [begin, end) of the block.
// Returns what the sums so far are to be multiplied by.
inline float weigh(float* scores, int vectors, int begin, int end, float& largest, float* totals) {
  const bool whole = begin == 0 && end >= vectors * kLanes;
  Floats peak = broadcast(kNone);
  for (int v = 0; v < vectors; ++v) {
    Floats s = load(scores + v * kLanes);
    if (!whole) {
      s = keep_between(s, v * kLanes, begin, end, kNone);
      store(s, scores + v * kLanes);
    }
    peak = max(peak, s);
  }
  const float before = largest;
  largest = max_of(max(broadcast(before), peak));
  if (largest == kNone) largest = none_or_nan(scores, begin, std::min(end, vectors * kLanes));
  if (largest == kNone) return 1.0f;  // no key yet
  const float shrink = exp(before - largest);
  Floats total = load(totals) * broadcast(shrink);
  for (int v = 0; v < vectors; ++v) {
    const Floats weight = exp(load(scores + v * kLanes) - broadcast(largest));
    store(weight, scores + v * kLanes);
    total = total + weight;
  }
  store(total, totals);
  return shrink;
}

// sums[i][d] = sums[i][d] * shrink[i] + the sum over keys [from, to) of weight * value, ascending;
// for kColumns vectors of d from `column` on, the last of `lanes`.
template <class Element, int kN, int kColumns>
inline void add_columns(const KeyBlock<Element>& block, int from, int to,
                        const float (*weights)[kBlockKeys], const float* shrink, float* const* sums,
                        int column, int lanes) {
  Floats acc[kN][kColumns];
  TYTO_UNROLL for (int i = 0; i < kN; ++i) TYTO_UNROLL for (int c = 0; c < kColumns; ++c)
      acc[i][c] = load(sums[i] + column + c * kLanes) * broadcast(shrink[i]);
  for (int key = from; key < to; ++key) {
    const Values<Element>& values = block.values[key / kPageTokens];
    const int token = key % kPageTokens;
    Floats v[kColumns];
    TYTO_UNROLL for (int c = 0; c < kColumns; ++c) v[c] =
        kColumns > 1 ? values.at(token, column + c * kLanes) : values.at(token, column, lanes);
    TYTO_UNROLL for (int i = 0; i < kN; ++i) {
      const Floats weight = broadcast(weights[i][key]);
      TYTO_UNROLL for (int c = 0; c < kColumns; ++c) acc[i][c] = fma(weight, v[c], acc[i][c]);
    }
  }
  TYTO_UNROLL for (int i = 0; i < kN; ++i) TYTO_UNROLL for (int c = 0; c < kColumns; ++c)
      store(acc[i][c], sums[i] + column + c * kLanes);
}

template <class Element, int kN>
inline void add_values(const KeyBlock<Element>& block, int from, int to, int value_dim,
                       const float (*weights)[kBlockKeys], const float* shrink,
                       float* const* sums) {
  constexpr int kColumns = kN * 2 > kQueries ? 2 : 4;
  int d = 0;
  for (; d + kColumns * kLanes <= value_dim; d += kColumns * kLanes)
    add_columns<Element, kN, kColumns>(block, from, to, weights, shrink, sums, d, kLanes);
  for (; d < value_dim; d += kLanes)
    add_columns<Element, kN, 1>(block, from, to, weights, shrink, sums, d,
                                std::min(kLanes, value_dim - d));
}

// kN query vectors of the call, from `first` on, and one block of keys.
template <class Element, int kN>
void attend_tile(const AttendArgs& args, const KeyBlock<Element>& block, int first,
                 const AttendScratch& scratch) {
  const float* q[kN];
  float* sums[kN];
  int begin[kN], end[kN];  // keys of the block that each sees
  int lowest = kBlockKeys, highest = 0, all_from = 0,
      all_to = kBlockKeys;  // that any and that all see
  for (int i = 0; i < kN; ++i) {
    const int row = (first + i) / args.group, head = (first + i) % args.group;
    q[i] = args.q + static_cast<std::size_t>(row) * args.q_row_stride + head * args.key_dim;
    sums[i] = scratch.sums + static_cast<std::size_t>(first + i) * scratch.stride;
    begin[i] = std::clamp(args.begin[row] - block.first, 0, kBlockKeys);
    end[i] = std::clamp(args.end[row] - block.first, 0, kBlockKeys);
    lowest = std::min(lowest, begin[i]);
    highest = std::max(highest, end[i]);
    all_from = std::max(all_from, begin[i]);
    all_to = std::min(all_to, end[i]);
  }
  if (lowest >= highest) return;
  alignas(64) float weights[kN][kBlockKeys];
  float shrink[kN];
  const int vectors = (highest + kLanes - 1) / kLanes;
  score_block<Element, kN>(q, args.key_dim, block, vectors, args.scale, weights);
  for (int i = 0; i < kN; ++i)
    shrink[i] = weigh(weights[i], vectors, begin[i], end[i], scratch.largest[first + i],
                      scratch.totals + (first + i) * kLanes);
  // Keys that only some see are added to each vector alone: what is masked is never multiplied, so
  // that not even an infinite value of a later token reaches an earlier one.
  all_to = std::max(all_to, all_from);
  for (int i = 0; i < kN; ++i) {
    if (begin[i] >= all_from) continue;
    add_values<Element, 1>(block, begin[i], std::min(all_from, end[i]), args.value_dim, weights + i,
                           shrink + i, sums + i);
    shrink[i] = 1.0f;
  }
  add_values<Element, kN>(block, all_from, all_to, args.value_dim, weights, shrink, sums);
  const float once = 1.0f;
  for (int i = 0; i < kN; ++i)
    if (end[i] > all_to)
      add_values<Element, 1>(block, std::max(all_to, begin[i]), end[i], args.value_dim, weights + i,
                             &once, sums + i);
}

// The part of the page that a key is in.
inline const std::byte* page_part(const AttendArgs& args, int key) {
  return args.pages + args.table[key / kPageTokens] * args.page_stride;
}

template <class Element>
void attend_block(const AttendArgs& args, int first_key, int last_key, int vectors,
                  const AttendScratch& scratch) {
  KeyBlock<Element> block;
  block.first = first_key;
  const PartLayout layout = part_layout(kCacheType<Element>, args.key_dim, args.value_dim);
  constexpr int kPageVectors = kPageTokens / kLanes;
  for (int page = 0; first_key + page * kPageTokens < last_key; ++page) {
    const std::byte* part = page_part(args, first_key + page * kPageTokens);
    for (int v = 0; v < kPageVectors; ++v)
      block.keys[page * kPageVectors + v] = Keys<Element>(part, layout, v * kLanes);
    block.values[page] = Values<Element>(part, layout, args.value_dim);
  }
  int i = 0;
  for (; i + kQueries <= vectors; i += kQueries)
    attend_tile<Element, kQueries>(args, block, i, scratch);
  if constexpr (kQueries > 4)
    for (; i + 4 <= vectors; i += 4) attend_tile<Element, 4>(args, block, i, scratch);
  for (; i + 2 <= vectors; i += 2) attend_tile<Element, 2>(args, block, i, scratch);
  for (; i < vectors; ++i) attend_tile<Element, 1>(args, block, i, scratch);
}

// Adds a later state to an earlier one.
inline void merge(float later_largest, float later_total, const float* later_sums, int n,
                  float& largest, float& total, float* sums) {
  if (later_largest == kNone) return;
  const auto count = static_cast<std::size_t>(n);
  if (largest == kNone) {
    largest = later_largest;
    total = later_total;
    std::memcpy(sums, later_sums, count * sizeof(float));
    return;
  }
  const float peak = max_of(max(broadcast(largest), broadcast(later_largest)));
  const Floats a = broadcast(exp(largest - peak)), b = broadcast(exp(later_largest - peak));
  largest = peak;
  total = first_of(fma(broadcast(total), a, broadcast(later_total) * b));
  for (std::size_t i = 0; i < count; i += kStep) {
    const int lanes = lanes_at(i, count);
    store(fma(load(sums + i, lanes), a, load(later_sums + i, lanes) * b), sums + i, lanes);
  }
}

inline void divide(const float* sums, float largest, float total, int n, float* out) {
  const auto count = static_cast<std::size_t>(n);
  const Floats factor = broadcast(largest == kNone ? 0.0f : 1.0f / total);  // no key: zero
  for (std::size_t i = 0; i < count; i += kStep) {
    const int lanes = lanes_at(i, count);
    store(load(sums + i, lanes) * factor, out + i, lanes);
  }
}

// What a split ends with: its state goes to the partials, or is merged into the splits before.
inline void end_split(const AttendArgs& args, int split, int vectors, const AttendScratch& s) {
  const std::size_t partial = partial_floats(args.value_dim);
  for (int i = 0; i < vectors; ++i) {
    const float total = sum_of(load(s.totals + i * kLanes));
    const float* sums = s.sums + static_cast<std::size_t>(i) * s.stride;
    if (args.partials == nullptr) {
      merge(s.largest[i], total, sums, args.value_dim, s.all_largest[i], s.all_totals[i],
            s.all_sums + static_cast<std::size_t>(i) * s.stride);
      continue;
    }
    float* out = args.partials +
                 static_cast<std::size_t>(i / args.group) * args.partial_row_stride +
                 static_cast<std::size_t>(i % args.group) * args.partial_head_stride +
                 static_cast<std::size_t>(split) * partial;
    out[0] = s.largest[i];
    out[1] = total;
    std::memcpy(out + 2, sums, static_cast<std::size_t>(args.value_dim) * sizeof(float));
  }
}

// The result from the states of all splits.
inline void finish(const AttendArgs& args, int vectors, const AttendScratch& s) {
  for (int i = 0; i < vectors; ++i)
    divide(s.all_sums + static_cast<std::size_t>(i) * s.stride, s.all_largest[i], s.all_totals[i],
           args.value_dim,
           args.out + static_cast<std::size_t>(i / args.group) * args.out_row_stride +
               (i % args.group) * args.value_dim);
}

template <class Element>
void attend(const AttendArgs& args) {
  const int vectors = args.rows * args.group;
  const AttendScratch s = divide_scratch(args.scratch, vectors, args.value_dim);
  const std::size_t floats = static_cast<std::size_t>(vectors) * s.stride;
  int lowest = args.begin[0], highest = args.end[0];
  for (int r = 1; r < args.rows; ++r) {
    lowest = std::min(lowest, args.begin[r]);
    highest = std::max(highest, args.end[r]);
  }
  std::fill_n(s.all_largest, vectors, kNone);
  for (int split = args.first_split; split < args.last_split; ++split) {
    std::fill_n(s.largest, vectors, kNone);
    std::fill_n(s.totals, vectors * kLanes, 0.0f);
    std::fill_n(s.sums, floats, 0.0f);
    const int last = std::min(highest, (split + 1) * kSplitKeys);
    for (int key = split * kSplitKeys; key < last; key += kBlockKeys)
      if (key + kBlockKeys > lowest)
        attend_block<Element>(args, key, std::min(last, key + kBlockKeys), vectors, s);
    end_split(args, split, vectors, s);
  }
  if (args.partials == nullptr) finish(args, vectors, s);
}

// In place: the partial of the first split becomes the sum of all.
inline void merge_splits(float* partials, int splits, int value_dim, float* out) {
  for (int split = 1; split < splits; ++split) {
    const float* later = partials + static_cast<std::size_t>(split) * partial_floats(value_dim);
    merge(later[0], later[1], later + 2, value_dim, partials[0], partials[1], partials + 2);
  }
  divide(partials + 2, partials[0], partials[1], value_dim, out);
}

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
