// What blocks consist of besides products with matrices. A function that takes a stream queues one
// kernel for at most `rows` rows; how many there are lies in device memory. Pointers are the
// device's.
#pragma once
#include <cuda_runtime_api.h>

#include "cuda/matrix.h"
#include "cuda/step.h"
#include "src/plan.h"
#include "src/top_logits.h"
#include "tyto/model.h"

namespace tyto::cuda {

inline constexpr int kMaxHead = 256;       // values of a head, at most
inline constexpr int kMostExperts = 4096;  // that one block counts in shared memory

struct NormView {  // weight null: none
  const float *weight = nullptr, *bias = nullptr;
  float eps = 0;
  bool center = false;
};

// The rows of a stream, normalized, as records.
struct Normalize {
  NormView norm;
  const float* x;  // [row][width]
  int width;
  const std::int32_t* count;
  const std::int32_t* rows = nullptr;  // which; null: the first *count
  Records to;
};
cudaError_t normalize(const Normalize&, int rows, cudaStream_t);

// stream[row] = a row of StepView::hidden, for a slice that does not begin with Embed.
cudaError_t take_hidden(const StepView&, float* stream, int width, int rows, cudaStream_t);

// Cosine and sine of every rotation of every row, once for all layers that turn alike.
struct Turns {
  const double* frequencies;  // [pairs]: angle per position
  float2* out;                // [row][pairs]
  int pairs;
};
cudaError_t turn(const Turns&, const StepView&, int rows, cudaStream_t);

// Pages in device memory: [page][layer][kv head][slot][key, value]. A key of n values: n floats, or
// 16-bit floats, or n E4M3, or codes of 8 bits for n rounded up to 32 and a float scale per 32; up
// to a multiple of 16 bytes.
struct CacheView {
  std::byte* data;
  std::size_t page_bytes, slot_bytes, key_bytes;
  CacheType type;
  int index;  // in Plan::caches
  int layer, kv_heads;
};
std::size_t cached_bytes(CacheType type, int values) noexcept;  // of a key or a value

struct Heads {
  float *q, *k, *v;  // [row][head][head_dim]
  int heads, kv_heads, head_dim;
  NormView q_norm, k_norm;
  const float2* turns;  // null: none
  int pairs;
  bool interleaved;
  CacheView cache;
};
// Norms and rotations of heads; keys and values go to the cache.
cudaError_t store_heads(const Heads&, const StepView&, int rows, cudaStream_t);

// Keys of a row are cut into at most so many splits (StepRow::split_length), which many blocks
// share.
int splits_of(int context, int rows, Order order) noexcept;  // rows: at most so many in a step
// Of sequences that have at most `end` slots. A row's bits depend on where its keys are cut.
int split_length(int end, int splits) noexcept;

// What is known of each head and split: scores are logarithms to base 2.
struct Partials {
  float* sums;    // [row][head][split][head_dim]: of 2^(score - largest) * value
  float2* state;  // [row][head][split]: the largest score, the sum of 2^(score - largest)
                  // Nothing is written where a row sees no key.
};
struct Attend {
  Heads heads;
  float scale;
  int tiling, tile_rows;  // of StepView::tiles; rows of a tile, at most
  Partials to;
};
// Whether attention does what store_heads does, which must not be queued then: where all rows of a
// sequence are one block's, as in steps of few rows.
bool readies_heads(const Attend&, int splits, int rows) noexcept;
cudaError_t attend(const Attend&, const StepView&, int splits, int rows, cudaStream_t);

// softmax(scale * q keys) values of [row][head][head_dim], as records.
struct Merge {
  Partials from;
  int heads, head_dim;
  Records to;
};
cudaError_t merge(const Merge&, const StepView&, int splits, int rows, cudaStream_t);

// act(gate) * up, or act(up) where gate is null, as records. Both [row][width].
struct Activate {
  const float *gate, *up;
  int width;
  Activation act;
  const std::int32_t* count;
  Records to;
};
cudaError_t activate(const Activate&, int rows, cudaStream_t);

// A mixture of experts (Moe). A member is a row that chose an expert, once for each; members of an
// expert follow each other.
struct Choice {
  std::int32_t expert, member;
  float weight;
};
struct Experts {
  const float* scores;    // [row][experts]
  Choice* choices;        // [row][active], experts ascending; weights: softmax of the scores chosen
  ExpertGroup* groups;    // [experts], ascending; empty ones behind
  std::int32_t* rows;     // [member]
  std::int32_t* members;  // how many
  int experts, active;
};
cudaError_t choose_experts(const Experts&, const StepView&, int rows, cudaStream_t);
cudaError_t group_members(const Experts&, const StepView&, cudaStream_t);
// Records of members, from those of rows, in the forms that the former have.
cudaError_t take_records(const Experts&, const Records& of_rows, const Records& of_members,
                         int members, cudaStream_t);
// stream[row] += the sum of weight * results[member] over what the row chose, experts ascending.
cudaError_t add_members(const Experts&, const StepView&, const float* results, int width,
                        float* stream, int rows, cudaStream_t);

// The highest logits of those outputs that are wanted so (StepView::ranked): first of each chunk,
// then of the row.
using RankKey = unsigned long long;  // a logit and its token; the best is the highest
struct Rank {
  const float* logits;  // [output][vocab]
  int vocab, chunks;
  RankKey* keys;  // [output][chunk][kTopLogits]: of each chunk
  float2* sums;   // [output][chunk]: the highest logit, the sum of exp(logit - highest)
  TopLogits* to;  // [output]
};
inline constexpr int kRankChunk = 4096;  // logits
constexpr int rank_chunks_of(int vocab) { return (vocab + kRankChunk - 1) / kRankChunk; }
cudaError_t rank_chunks(const Rank&, const StepView&, int outputs, cudaStream_t);
cudaError_t rank_rows(const Rank&, const StepView&, int outputs, cudaStream_t);

}  // namespace tyto::cuda
