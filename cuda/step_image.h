// Host side of a step's tables (step.h): where they lie, and how they are written.
#pragma once
#include <span>
#include <vector>

#include "cuda/step.h"
#include "src/backend.h"

namespace tyto::cuda {

// Rows of a tile (step.h) for an attention block: with all query heads that share a key-value head,
// 16 query vectors, or one row.
int tile_rows(const Attention& block) noexcept;

// Byte offsets. Everything before `hidden` is sent in one piece, as far as it is in use.
struct StepLayout {
  StepLayout(const Plan& plan, const Capacity& capacity);
  StepView view(const std::byte* at) const noexcept;
  int tiling_of(const Attention& block) const noexcept;

  std::size_t rows, tile_counts, tiles, outputs, ranked, first_page, pages, hidden, bytes;
  int max_rows, max_sequences, caches;
  std::vector<int> tilings;  // tile_rows() of each
};

// Where the keys of a step's rows are cut: into at most `count` splits, of `length` slots, or,
// where that is 0, of as many as the longest row of a sequence asks for.
struct Cut {
  int count, length;
};

// Writes a step that StepLimits has let through at `to`, of layout.hidden bytes, and says how many
// of them are used.
std::size_t write_step(const StepLayout& layout, const StepInput& input,
                       std::span<const Output> outputs, const Cut& cut, std::byte* to);

}  // namespace tyto::cuda
