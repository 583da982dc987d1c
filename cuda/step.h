// What the kernels of a step read: it lies at fixed addresses, so that captured graphs never
// change.
#pragma once
#include <cstdint>

namespace tyto::cuda {

struct StepCounts {
  std::int32_t rows, outputs;
};

struct StepRow {
  std::int32_t token;  // -1: row `hidden` of StepView::hidden
  std::int32_t hidden;
  std::int32_t sequence;
  std::int32_t slot;        // cache slot written
  std::int32_t begin, end;  // keys seen: slots [begin, end)
  std::int32_t position;
  std::int32_t split_length;  // keys are cut at its multiples, for attention by several blocks
};

// Successive rows of one sequence, which share what is read of its keys and values.
struct Tile {
  std::int32_t first, rows;
};

// Device pointers.
struct StepView {
  const StepCounts* counts;
  const StepRow* rows;
  const std::int32_t* tile_counts;  // [tiling]
  const Tile* tiles;                // [tiling][most_rows]
  const std::int32_t* outputs;      // rows whose logits are wanted
  const std::int32_t* ranked;       // [output]: not 0: only the highest of them are
  const std::int32_t* first_page;   // [cache][sequence]: where its pages begin
  const std::uint32_t* pages;
  const float* hidden;  // [row][width]
  int sequences;        // at most: the stride of first_page
  int most_rows;        // of a step
};

}  // namespace tyto::cuda
