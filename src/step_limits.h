// What a step may be. Every backend checks it before it uses anything of a step: what a kernel then
// reads and writes is inside what was allocated. In a header alone, since backends in libraries of
// their own use it too.
#pragma once
#include <algorithm>
#include <vector>

#include "src/backend.h"
#include "src/base/error.h"

namespace tyto {

struct StepLimits {
  // arena_pages: how many of each cache there are.
  // finds_top: Want::top is served.
  StepLimits(const Plan& plan, Slice slice, const Capacity& capacity, std::vector<int> arena_pages,
             bool finds_top = false);

  // `bad_argument` says what of the step is wrong.
  Result<> check(const StepInput& input, std::span<const Output> outputs) const;

  Capacity capacity;
  int width = 0, vocab = 0;
  int tokens = 0, positions = 0;  // rows of the embedding's tables; 0: there is none
  bool head = false;
  bool ranks = false;  // finds the highest logits
  int pages_per_sequence = 0;
  std::vector<int> pages;  // of each cache's arena

 private:
  Result<> check_rows(const StepInput& input) const;
  Result<> check_row(const StepInput& input, std::size_t r) const;
  Result<> check_tables(const StepInput& input) const;
  Result<> check_outputs(const StepInput& input, std::span<const Output> outputs) const;
  static int rows_of(const Plan& plan, TensorId id) {
    return id ? static_cast<int>(plan.tensors[static_cast<std::size_t>(id.index)].shape[0]) : 0;
  }
};

inline StepLimits::StepLimits(const Plan& plan, Slice slice, const Capacity& most,
                              std::vector<int> arena_pages, bool finds_top)
    : capacity(most),
      width(plan.width),
      vocab(plan.vocab),
      pages_per_sequence((plan.context + kPageTokens - 1) / kPageTokens),
      pages(std::move(arena_pages)) {
  for (int b = slice.first; b < slice.last; ++b) {
    const Block& block = plan.blocks[static_cast<std::size_t>(b)];
    head = head || std::holds_alternative<Head>(block);
    ranks = head && finds_top;
    if (const auto* embed = std::get_if<Embed>(&block)) {
      tokens = rows_of(plan, embed->table);
      positions = rows_of(plan, embed->positions);
    }
  }
}

inline Result<> StepLimits::check(const StepInput& input, std::span<const Output> outputs) const {
  TYTO_TRY(check_rows(input));
  TYTO_TRY(check_tables(input));
  return check_outputs(input, outputs);
}

inline Result<> StepLimits::check_rows(const StepInput& input) const {
  if (input.rows.empty() || input.rows.size() > static_cast<std::size_t>(capacity.rows))
    return fail(ErrorCode::bad_argument, "a step of {} rows; 1 to {} are possible",
                input.rows.size(), capacity.rows);
  if (input.sequences.size() > static_cast<std::size_t>(capacity.sequences))
    return fail(ErrorCode::bad_argument, "a step of {} sequences; {} are possible",
                input.sequences.size(), capacity.sequences);
  std::size_t hidden = 0;
  for (std::size_t r = 0; r < input.rows.size(); ++r) {
    TYTO_TRY(check_row(input, r));
    hidden += input.rows[r].token < 0;
  }
  if (input.hidden.size() != hidden * static_cast<std::size_t>(width))
    return fail(ErrorCode::bad_argument, "{} hidden values for {} rows of {}", input.hidden.size(),
                hidden, width);
  return {};
}

inline Result<> StepLimits::check_row(const StepInput& input, std::size_t r) const {
  const Row& row = input.rows[r];
  const auto bad = [&](std::string_view what) {
    return fail(ErrorCode::bad_argument, "row {}: {}", r, what);
  };
  if (row.token < -1 || row.token >= tokens) return bad("a token outside the vocabulary");
  if (row.sequence < 0 || static_cast<std::size_t>(row.sequence) >= input.sequences.size())
    return bad("a sequence that the step does not have");
  if (row.position < 0 || (positions > 0 && row.token >= 0 && row.position >= positions))
    return bad("a position that the model does not have");
  if (row.slot < 0 || row.begin < 0 || row.begin >= row.end)
    return bad("no keys, or a negative slot");
  if (r > 0 && (row.sequence < input.rows[r - 1].sequence ||
                (row.sequence == input.rows[r - 1].sequence && row.slot <= input.rows[r - 1].slot)))
    return bad("not behind the row before it");
  return {};
}

inline Result<> StepLimits::check_tables(const StepInput& input) const {
  const std::size_t caches = pages.size();
  for (const Sequence& sequence : input.sequences) {
    if (sequence.pages.size() != caches)
      return fail(ErrorCode::bad_argument, "{} page tables for {} caches", sequence.pages.size(),
                  caches);
    for (std::size_t c = 0; c < caches; ++c) {
      if (sequence.pages[c].size() > static_cast<std::size_t>(pages_per_sequence))
        return fail(ErrorCode::bad_argument, "a sequence of {} pages; {} are possible",
                    sequence.pages[c].size(), pages_per_sequence);
      for (const PageId page : sequence.pages[c])
        if (page >= static_cast<PageId>(pages[c]))
          return fail(ErrorCode::bad_argument, "page {}; the cache has {}", page, pages[c]);
    }
  }
  for (const Row& row : input.rows) {
    for (const auto& table : input.sequences[static_cast<std::size_t>(row.sequence)].pages)
      if (static_cast<std::size_t>(std::max(row.slot + 1, row.end)) > table.size() * kPageTokens)
        return fail(ErrorCode::bad_argument, "slot {} lies beyond {} pages",
                    std::max(row.slot, row.end - 1), table.size());
  }
  return {};
}

inline Result<> StepLimits::check_outputs(const StepInput& input,
                                          std::span<const Output> outputs) const {
  if (outputs.size() > static_cast<std::size_t>(capacity.outputs))
    return fail(ErrorCode::bad_argument, "{} outputs; {} are possible", outputs.size(),
                capacity.outputs);
  std::int32_t before = -1;
  for (const Output& output : outputs) {
    if (output.row <= before || static_cast<std::size_t>(output.row) >= input.rows.size())
      return fail(ErrorCode::bad_argument, "an output of row {}, out of order or beyond the step",
                  output.row);
    before = output.row;
    if (output.want != Want::hidden && !head)
      return fail(ErrorCode::bad_argument, "logits of a slice without a head");
    if (output.want == Want::top) {
      if (!ranks)
        return fail(ErrorCode::bad_argument, "the highest logits, which are not found here");
      if (!output.top) return fail(ErrorCode::bad_argument, "no room for the highest logits");
      continue;
    }
    const auto expected = static_cast<std::size_t>(output.want == Want::logits ? vocab : width);
    if (output.values.size() != expected)
      return fail(ErrorCode::bad_argument, "room for {} output values, expected {}",
                  output.values.size(), expected);
  }
  return {};
}

}  // namespace tyto
