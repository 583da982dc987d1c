// Where a step keeps its intermediate values: one block, laid out when a program is compiled.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/lowered.h"

namespace tyto::cpu {

// Of a mixture of experts, whose rows are taken apart by expert (experts.h). A member is a row that
// chose an expert, once for each.
struct ExpertPlaces {
  std::size_t scores = 0;                           // floats [rows, experts]
  std::size_t choices = 0;                          // Choice [rows, active]
  std::size_t groups = 0;                           // Group [experts]
  std::size_t rows = 0, weights = 0, group_of = 0;  // int32, floats, int32 [members]
  std::size_t records[kActivationForms] = {};       // of members; those of a group lie together
};
// Where the records of a group begin, if so many rows belong to the groups before it.
constexpr std::uint64_t kRecordsRounding = 128;  // at most, of ActivationLayout::slice_stride
constexpr std::size_t group_records(const ActivationLayout& layout, std::size_t rows,
                                    std::size_t groups) {
  return layout.slices * (rows * layout.bytes + groups * kRecordsRounding);
}

// Byte offsets in the block, all multiples of 64.
struct Workspace {
  std::size_t stream = 0;    // floats [rows, width]: the residual stream
  std::size_t wide = 0;      // floats: [rows, q + k + v] in attention, [rows, up] in the MLP,
                             // [members, up] in a mixture of experts
  std::size_t attended = 0;  // floats [rows, heads * head_dim]
  std::size_t records[kActivationForms] = {};  // activations of the stage under way
  std::size_t tables = 0;                      // PageId [sequences, caches, pages_per_sequence]
  std::size_t partials = 0;  // floats [partial_rows, heads, splits, value_dim + 2]: attention's
  std::size_t scratch = 0;   // bytes [workers, scratch_bytes]
  ExpertPlaces experts;
  std::vector<std::size_t> frequencies;  // per rope: doubles [dims / 2]
  std::vector<std::size_t> rotations;    // per rope: floats [rows, 2, dims]: cosines, sines
  std::size_t stream_stride = 0;         // floats
  std::size_t tile_floats = 0;           // of a product that is not yet where it belongs
  std::size_t scratch_bytes = 0;
  int pages_per_sequence = 0, partial_rows = 0, splits = 0;
  std::uint64_t bytes = 0;
};

// bad_argument for a capacity without rows or sequences.
Result<Workspace> lay_out(const Lowered& lowered, const RowKernels& row_kernels,
                          const Capacity& capacity, int workers);

// Floats between the rows of `wide` and `attended` in a block.
std::size_t wide_stride(const Lowered& lowered, const AttentionPart& part) noexcept;
std::size_t wide_stride(const Lowered& lowered, const MlpPart& part) noexcept;
std::size_t wide_stride(const Lowered& lowered, const MoePart& part) noexcept;
std::size_t attended_stride(const AttentionPart& part) noexcept;
// Floats of one row of a rope's rotations.
std::size_t rotation_stride(const RopePart& part) noexcept;

}  // namespace tyto::cpu
