#include "cuda/step_image.h"

#include <algorithm>

#include "cuda/blocks/blocks.h"
#include "cuda/sizes.h"

namespace tyto::cuda {
namespace {

template <class T>
T* at(std::byte* base, std::size_t offset) {
  return reinterpret_cast<T*>(base + offset);
}

// Cuts the rows of a step into tiles, and says how many there are.
int write_tiles(std::span<const Row> rows, int most, Tile* tiles) {
  int count = 0;
  for (int r = 0; r < static_cast<int>(rows.size()); ++r) {
    Tile* const last = count > 0 ? &tiles[count - 1] : nullptr;
    if (last && last->rows < most && rows[size(last->first)].sequence == rows[size(r)].sequence)
      ++last->rows;
    else
      tiles[count++] = {r, 1};
  }
  return count;
}

// The rows of a sequence follow each other: they are cut at the same slots, since they share tiles.
void cut_by_sequence(std::span<StepRow> rows, int count) {
  for (std::size_t first = 0, next = 0; first < rows.size(); first = next) {
    int end = 0;
    for (next = first; next < rows.size() && rows[next].sequence == rows[first].sequence; ++next)
      end = std::max(end, rows[next].end);
    for (StepRow& row : rows.subspan(first, next - first))
      row.split_length = split_length(end, count);
  }
}

}  // namespace

int tile_rows(const Attention& block) noexcept {
  constexpr int kVectors = 16;
  return std::max(1, kVectors / (block.heads / block.kv_heads));
}

StepLayout::StepLayout(const Plan& plan, const Capacity& capacity)
    : max_rows(capacity.rows),
      max_sequences(capacity.sequences),
      caches(static_cast<int>(plan.caches.size())) {
  for (const Block& block : plan.blocks)
    if (const auto* attention = std::get_if<Attention>(&block))
      if (const int wanted = tile_rows(*attention);
          std::find(tilings.begin(), tilings.end(), wanted) == tilings.end())
        tilings.push_back(wanted);
  const std::size_t sequences = size(capacity.sequences) * plan.caches.size();
  const std::size_t most_pages = size((plan.context + kPageTokens - 1) / kPageTokens);
  rows = aligned(sizeof(StepCounts));
  tile_counts = aligned(rows + sizeof(StepRow) * size(capacity.rows));
  tiles = aligned(tile_counts + sizeof(std::int32_t) * tilings.size());
  outputs = aligned(tiles + sizeof(Tile) * size(capacity.rows) * tilings.size());
  ranked = aligned(outputs + sizeof(std::int32_t) * size(capacity.outputs));
  first_page = aligned(ranked + sizeof(std::int32_t) * size(capacity.outputs));
  pages = aligned(first_page + sizeof(std::int32_t) * sequences);
  hidden = aligned(pages + sizeof(PageId) * sequences * most_pages);
  bytes = aligned(hidden + sizeof(float) * size(capacity.rows) * size(plan.width));
}

StepView StepLayout::view(const std::byte* base) const noexcept {
  const auto part = [base](std::size_t offset) { return static_cast<const void*>(base + offset); };
  return {static_cast<const StepCounts*>(part(0)),
          static_cast<const StepRow*>(part(rows)),
          static_cast<const std::int32_t*>(part(tile_counts)),
          static_cast<const Tile*>(part(tiles)),
          static_cast<const std::int32_t*>(part(outputs)),
          static_cast<const std::int32_t*>(part(ranked)),
          static_cast<const std::int32_t*>(part(first_page)),
          static_cast<const std::uint32_t*>(part(pages)),
          static_cast<const float*>(part(hidden)),
          max_sequences,
          max_rows};
}

int StepLayout::tiling_of(const Attention& block) const noexcept {
  const auto found = std::find(tilings.begin(), tilings.end(), tile_rows(block));
  return static_cast<int>(found - tilings.begin());
}

std::size_t write_step(const StepLayout& layout, const StepInput& input,
                       std::span<const Output> outputs, const Cut& cut, std::byte* to) {
  StepRow* const rows = at<StepRow>(to, layout.rows);
  std::int32_t hidden = 0;
  for (std::size_t i = 0; i < input.rows.size(); ++i) {
    const Row& row = input.rows[i];
    rows[i] = {row.token,    row.token < 0 ? hidden++ : 0,
               row.sequence, row.slot,
               row.begin,    row.end,
               row.position, cut.length};
  }
  if (cut.length == 0) cut_by_sequence(std::span(rows, input.rows.size()), cut.count);

  for (std::size_t i = 0; i < layout.tilings.size(); ++i)
    at<std::int32_t>(to, layout.tile_counts)[i] = write_tiles(
        input.rows, layout.tilings[i], at<Tile>(to, layout.tiles) + i * size(layout.max_rows));

  std::int32_t* const wanted = at<std::int32_t>(to, layout.outputs);
  std::int32_t logits = 0;
  for (const Output& output : outputs) {
    if (output.want == Want::hidden) continue;
    at<std::int32_t>(to, layout.ranked)[logits] = output.want == Want::top;
    wanted[logits++] = output.row;
  }
  *at<StepCounts>(to, 0) = {static_cast<std::int32_t>(input.rows.size()), logits};

  std::size_t used = layout.pages;
  for (int cache = 0; cache < layout.caches; ++cache)
    for (std::size_t s = 0; s < input.sequences.size(); ++s) {
      const std::span<const PageId> pages = input.sequences[s].pages[size(cache)];
      at<std::int32_t>(to, layout.first_page)[size(cache * layout.max_sequences) + s] =
          static_cast<std::int32_t>((used - layout.pages) / sizeof(PageId));
      std::copy(pages.begin(), pages.end(), at<PageId>(to, used));
      used += pages.size_bytes();
    }
  return used;
}

}  // namespace tyto::cuda
