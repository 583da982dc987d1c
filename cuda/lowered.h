// What a slice of a plan becomes on a device: where its weights lie, and how much memory a step
// needs. Everything follows from the plan, before anything is loaded.
#pragma once
#include <utility>
#include <vector>

#include "cuda/blocks/blocks.h"
#include "cuda/matrix.h"
#include "cuda/sizes.h"
#include "cuda/step_image.h"
#include "src/backend.h"

namespace tyto::cuda {

struct PlacedTensor {
  std::size_t offset = 0;
  const MatrixFormat* matrix = nullptr;  // null: a vector of floats, or not in this slice
  MatrixLayout layout;
  std::size_t rows = 0, width = 0, bytes = 0;  // bytes 0: not in this slice
};

struct PlacedRope {  // double [pairs]: angle per position
  Rope rope;
  std::size_t offset = 0;
};

struct Lowered {
  std::vector<PlacedTensor> tensors;  // as Plan::tensors
  std::vector<PlacedRope> ropes;      // each once
  // While it is packed: of each tensor the first row with NaN or infinity (std::int32_t), and two
  // buffers of piece_bytes, 4 MiB unless a row is longer. They stay, so that the sum is exact.
  std::size_t not_finite = 0, staging = 0, piece_bytes = 0;
  std::size_t weight_bytes = 0;    // with all of that
  Forms forms;                     // of records, that its matrices take
  std::size_t expanded_bytes = 0;  // of the largest quantized matrix of a product, as BF16

  const PlacedRope* find(const Rope& rope) const noexcept;
};

std::size_t file_row_bytes(const quant::Format& format, std::size_t width) noexcept;

// Rows of a Linear; 0 in the plan are all that its tensor has.
int outputs_of(const Plan& plan, const Linear& linear) noexcept;

// `unsupported` names the block and what of it this backend lacks.
Result<Lowered> lower(const Plan& plan, Slice slice, Order order);

// `unsupported`: the type of cache.
Result<> check_cache(CacheType type);
CacheView cache_shape(const CacheSpec& spec, CacheType type) noexcept;  // but data, index, layer

// Byte offsets of what a step computes.
struct RecordsLayout {
  std::size_t floats = 0, halves = 0, codes = 0, scales = 0, sums = 0;
};
// Of a mixture of experts; see Experts in blocks.h.
struct ExpertPlaces {
  std::size_t scores = 0, choices = 0, groups = 0, rows = 0, members = 0;
  std::size_t gate = 0, up = 0, results = 0;  // floats of members
  RecordsLayout input, inner;                 // of members
  Forms forms;                                // of these
};
constexpr int padded(int width) { return groups_of(width) * kGroup; }  // of records
struct Workspace {
  Workspace(const Plan& plan, Slice slice, const Lowered& lowered, const Capacity& capacity,
            Order order);

  StepLayout step;
  std::size_t stream, q, k, v, gate, up, logits;
  std::size_t partial_sums, partial_state;
  std::size_t rank_keys, rank_sums, top, top_bytes;  // of outputs
  std::size_t blas = 0;                              // for cuBLASLt; 0: it takes no part
  std::size_t expanded = 0, expanded_bytes = 0;  // quantized weights for it; 0 bytes: it gets none
  Forms forms;                                   // of records
  RecordsLayout input, inner;  // of the stream; of what is attended, or between up and down
  ExpertPlaces experts;
  std::vector<std::size_t> turns;  // as Lowered::ropes
  std::size_t bytes = 0;           // on the device

 private:
  RecordsLayout take_records(const Forms& of, int count, int width);
  void take_experts(const Plan& plan, Slice slice, const Lowered& lowered, Order order, int rows);
  std::size_t take(int count, int each, std::size_t value_bytes) {
    const std::size_t wanted = size(count) * size(each) * value_bytes;
    return std::exchange(bytes, aligned(bytes + wanted));
  }
  std::size_t floats(int count, int each) { return take(count, each, sizeof(float)); }
};

}  // namespace tyto::cuda
