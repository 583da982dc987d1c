#include "cpu/workspace.h"

#include <algorithm>

#include "cpu/experts.h"
#include "cpu/matmul.h"
#include "src/base/checked.h"
#include "src/base/error.h"

namespace tyto::cpu {
namespace {

// At least ActivationLayout::total_bytes of that many rows, and of fewer; in so many groups.
Checked record_bytes(const ActivationLayout& layout, std::uint64_t rows, std::uint64_t groups = 1) {
  return Checked(layout.slices) *
         (Checked(rows) * Checked(layout.bytes) + Checked(groups) * Checked(kRecordsRounding));
}

// The largest of everything that the blocks need, one after the other.
struct Largest {
  const Lowered& lowered;
  const RowKernels& row_kernels;
  const int rows, outputs;  // of a step
  std::size_t tile = kFewRowsFloats, wide = 0, attended = 0, multiply = 0, attend = 0;
  ActivationLayout record[kActivationForms] = {};  // of the widest
  int heads = 0, value_dim = 0, kv_heads = 1 << 30;
  int experts = 0, active = 0;
  Checked expert_record[kActivationForms] = {Checked(0), Checked(0), Checked(0),
                                             Checked(0)};  // bytes

  const Matrix& matrix(int index) const {
    return lowered.matrices[static_cast<std::size_t>(index)];
  }
  void use_kernel(const Matrix& m) {
    multiply = std::max(multiply, m.kernel->scratch_bytes(m.k));
    tile = std::max(tile, task_floats(*m.kernel, std::max(rows, outputs)));
  }
  void use(const LinearPart& part) {
    if (part.matrix < 0) return;
    const Matrix& m = matrix(part.matrix);
    const ActivationForm form = m.kernel->form;
    auto& layout = record[static_cast<int>(form)];
    if (m.k > layout.k) layout = activation_layout(form, m.k);
    use_kernel(m);
  }
  void operator()(const EmbedPart&) {}
  void operator()(const AttentionPart& p) {
    for (const LinearPart* part : {&p.q, &p.k, &p.v, &p.out}) use(*part);
    wide = std::max(wide, wide_stride(lowered, p));
    attended = std::max(attended, attended_stride(p));
    attend =
        std::max(attend, row_kernels.attend_bytes(p.heads / p.kv_heads, p.head_dim, p.head_dim));
    heads = std::max(heads, p.heads);
    kv_heads = std::min(kv_heads, p.kv_heads);
    value_dim = std::max(value_dim, p.head_dim);
  }
  void operator()(const MlpPart& p) {
    for (const LinearPart* part : {&p.gate, &p.up, &p.down}) use(*part);
    wide = std::max(wide, wide_stride(lowered, p));
  }
  void operator()(const MoePart& p) {
    for (const LinearPart& part : {p.router, LinearPart{p.gate}, LinearPart{p.up}}) use(part);
    use_kernel(matrix(p.down));
    experts = std::max(experts, p.experts);
    active = std::max(active, p.active);
    wide = std::max(wide, static_cast<std::size_t>(p.active) * wide_stride(lowered, p));
    const std::uint64_t members =
        std::uint64_t{static_cast<unsigned>(rows)} * static_cast<unsigned>(p.active);
    const std::uint64_t groups = std::min(members, std::uint64_t{static_cast<unsigned>(p.experts)});
    for (const int index : {p.gate, p.up, p.down}) {
      const Matrix& m = matrix(index);
      Checked& most = expert_record[static_cast<int>(m.kernel->form)];
      const Checked bytes = record_bytes(activation_layout(m.kernel->form, m.k), members, groups);
      if (!(bytes <= most)) most = bytes;
    }
  }
  void operator()(const HeadPart& p) { use(p.logits); }
};

// Hands out parts of the block, one after the other.
class Places {
 public:
  std::size_t take(Checked bytes) {
    const auto at = total_.get();
    total_ = (total_ + bytes).rounded_up(64);
    return static_cast<std::size_t>(at.value_or(0));
  }
  std::size_t take(std::uint64_t count, std::uint64_t bytes_each) {
    return take(Checked(count) * Checked(bytes_each));
  }
  std::optional<std::uint64_t> total() const { return total_.get(); }

 private:
  Checked total_{0};
};

}  // namespace

std::size_t wide_stride(const Lowered& lowered, const AttentionPart& part) noexcept {
  std::size_t columns = 0;
  for (const LinearPart* l : {&part.q, &part.k, &part.v})
    columns +=
        static_cast<std::size_t>(lowered.matrices[static_cast<std::size_t>(l->matrix)].columns());
  return odd_lines(columns * sizeof(float)) / sizeof(float);
}

std::size_t wide_stride(const Lowered& lowered, const MlpPart& part) noexcept {
  return round_up(
      static_cast<std::size_t>(lowered.matrices[static_cast<std::size_t>(part.up.matrix)].rows),
      16);
}

std::size_t wide_stride(const Lowered& lowered, const MoePart& part) noexcept {
  return round_up(
      static_cast<std::size_t>(lowered.matrices[static_cast<std::size_t>(part.up)].rows), 16);
}

std::size_t attended_stride(const AttentionPart& part) noexcept {
  return round_up(static_cast<std::size_t>(part.heads) * static_cast<std::size_t>(part.head_dim),
                  16);
}

std::size_t rotation_stride(const RopePart& part) noexcept {
  return 2 * round_up(static_cast<std::size_t>(part.rope.dims), 16);
}

namespace {

void place_experts(const Largest& largest, std::uint64_t rows, Places& places, ExpertPlaces& e) {
  const auto experts = static_cast<unsigned>(largest.experts);
  const std::uint64_t members = rows * static_cast<unsigned>(largest.active);
  e.scores = places.take(Checked(rows) * Checked(experts) * Checked(sizeof(float)));
  e.choices = places.take(members, sizeof(Choice));
  e.groups = places.take(experts, sizeof(Group));
  e.rows = places.take(members, sizeof(std::int32_t));
  e.weights = places.take(members, sizeof(float));
  e.group_of = places.take(members, sizeof(std::int32_t));
  for (int form = 0; form < kActivationForms; ++form)
    e.records[form] = places.take(largest.expert_record[form]);
}

}  // namespace

Result<Workspace> lay_out(const Lowered& lowered, const RowKernels& row_kernels,
                          const Capacity& capacity, int workers) {
  if (capacity.rows < 1 || capacity.sequences < 1 || capacity.outputs < 0)
    return fail(ErrorCode::bad_argument, "a step of {} rows, {} sequences and {} outputs",
                capacity.rows, capacity.sequences, capacity.outputs);
  Largest largest{lowered, row_kernels, capacity.rows, capacity.outputs};
  for (const Part& part : lowered.parts) std::visit(largest, part);
  const auto rows = static_cast<std::uint64_t>(capacity.rows);
  const std::uint64_t record_rows = std::max(rows, static_cast<std::uint64_t>(capacity.outputs));

  Workspace w;
  Places places;
  w.stream_stride = round_up(static_cast<std::size_t>(lowered.width), 16);
  w.stream = places.take(rows, w.stream_stride * sizeof(float));
  w.wide = places.take(rows, largest.wide * sizeof(float));
  w.attended = places.take(rows, largest.attended * sizeof(float));
  for (int form = 0; form < kActivationForms; ++form)
    w.records[form] = places.take(record_bytes(largest.record[form], record_rows));
  place_experts(largest, rows, places, w.experts);
  for (const RopePart& part : lowered.ropes) {
    w.frequencies.push_back(places.take(static_cast<unsigned>(part.rope.dims / 2), sizeof(double)));
    w.rotations.push_back(places.take(rows, rotation_stride(part) * sizeof(float)));
  }
  w.pages_per_sequence = (lowered.context + kPageTokens - 1) / kPageTokens;
  w.tables = places.take(
      Checked(static_cast<unsigned>(capacity.sequences)) * Checked(lowered.caches.size()) *
      Checked(static_cast<unsigned>(w.pages_per_sequence)) * Checked(sizeof(PageId)));
  // Splits are computed apart only where heads and rows alone do not keep all workers busy.
  w.splits = (lowered.context + kSplitKeys - 1) / kSplitKeys;
  if (workers > 1 && w.splits > 1)
    w.partial_rows =
        std::min(capacity.rows, (2 * workers + largest.kv_heads - 1) / largest.kv_heads);
  w.partials = places.take(Checked(static_cast<unsigned>(w.partial_rows)) *
                           Checked(static_cast<unsigned>(largest.heads)) *
                           Checked(static_cast<unsigned>(w.splits)) *
                           Checked(partial_floats(largest.value_dim) * sizeof(float)));
  w.tile_floats = largest.tile;
  const std::size_t product =
      w.stream_stride * sizeof(float) + 2 * w.tile_floats * sizeof(float) + largest.multiply;
  w.scratch_bytes = round_up(std::max(product, largest.attend), 64);
  w.scratch = places.take(static_cast<unsigned>(workers), w.scratch_bytes);
  const auto total = places.total();
  if (!total)
    return fail(ErrorCode::bad_argument, "a step of {} rows exceeds the address space",
                capacity.rows);
  w.bytes = *total;
  return w;
}

}  // namespace tyto::cpu
