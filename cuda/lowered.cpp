#include "cuda/lowered.h"

#include <algorithm>
#include <string_view>

#include "cuda/blas.h"
#include "cuda/sizes.h"
#include "src/base/error.h"

namespace tyto::cuda {
namespace {

constexpr std::size_t kPieceBytes = 4 << 20;

bool same(const Rope& a, const Rope& b) {  // of what turns depend on
  return a.theta == b.theta && a.scale == b.scale && a.dims == b.dims &&
         a.factors.index == b.factors.index;
}

}  // namespace

std::size_t file_row_bytes(const quant::Format& format, std::size_t width) noexcept {
  return width / size(format.block_values) * size(format.block_bytes);
}

int outputs_of(const Plan& plan, const Linear& linear) noexcept {
  if (linear.rows > 0) return linear.rows;
  return static_cast<int>(plan.tensors[size(linear.weight.index)].shape[0]) - linear.first_row;
}

namespace {

class Lowering {
 public:
  Lowering(const Plan& plan, Order order) : plan_(plan), order_(order) {
    out_.tensors.resize(plan.tensors.size());
  }

  Result<> add(int block) {
    block_ = block;
    return std::visit([this](const auto& b) { return add(b); }, plan_.blocks[size(block)]);
  }
  Lowered finish() {
    place();
    return std::move(out_);
  }

 private:
  Result<> add(const Embed& b) {
    TYTO_TRY(matrix(b.table, false));
    return matrix(b.positions, false);
  }
  Result<> add(const Attention& b) {
    if (b.head_dim > kMaxHead)
      return fail(ErrorCode::unsupported,
                  "cuda: block {}: heads of {} values, at most {} are served", block_, b.head_dim,
                  kMaxHead);
    TYTO_TRY(norm(b.norm));
    TYTO_TRY(norm(b.q_norm));
    TYTO_TRY(norm(b.k_norm));
    const int q_width = b.heads * b.head_dim, kv_width = b.kv_heads * b.head_dim;
    TYTO_TRY(linear(b.q, plan_.width, q_width));
    TYTO_TRY(linear(b.k, plan_.width, kv_width));
    TYTO_TRY(linear(b.v, plan_.width, kv_width));
    TYTO_TRY(linear(b.out, q_width, plan_.width));
    if (b.rope.theta > 0 && !out_.find(b.rope)) out_.ropes.push_back({b.rope});
    return {};
  }
  Result<> add(const Mlp& b) {
    TYTO_TRY(norm(b.norm));
    const int ff = outputs_of(plan_, b.up);
    if (b.gate.weight) TYTO_TRY(linear(b.gate, plan_.width, ff));
    TYTO_TRY(linear(b.up, plan_.width, ff));
    return linear(b.down, ff, plan_.width);
  }
  Result<> add(const Moe& b) {
    if (b.active < 1 || b.active > b.experts || b.experts > kMostExperts)
      return fail(ErrorCode::unsupported, "cuda: block {}: {} of {} experts, of at most {}", block_,
                  b.active, b.experts, kMostExperts);
    for (const Linear* l : {&b.router, &b.gate, &b.up, &b.down})
      if (!l->weight)
        return fail(ErrorCode::unsupported,
                    "cuda: block {}: a mixture of experts without all of its "
                    "matrices",
                    block_);
    TYTO_TRY(norm(b.norm));
    TYTO_TRY(linear(b.router, plan_.width, b.experts));
    TYTO_TRY(experts(b.gate, b.experts, plan_.width, b.up.rows));
    TYTO_TRY(experts(b.up, b.experts, plan_.width, b.up.rows));
    return experts(b.down, b.experts, b.up.rows, plan_.width);
  }
  Result<> add(const Head& b) {
    TYTO_TRY(norm(b.norm));
    return linear(b.logits, plan_.width, plan_.vocab);
  }

  Result<> norm(const Norm& n) {
    TYTO_TRY(vector(n.weight));
    return vector(n.bias);
  }
  Result<> linear(const Linear& l, int in, int out) {
    TYTO_TRY(matrix(l.weight, true));
    const PlacedTensor& placed = out_.tensors[size(l.weight.index)];
    if (placed.width != size(in) || outputs_of(plan_, l) != out ||
        size(l.first_row + out) > placed.rows)
      return fail(ErrorCode::unsupported,
                  "cuda: block {}: tensor {} is [{}, {}], expected [{}, {}]", block_,
                  plan_.tensors[size(l.weight.index)].name, placed.rows, placed.width, out, in);
    return vector(l.bias);
  }

  Result<> experts(const Linear& first, int count, int in, int out) {
    TYTO_TRY(linear(first, in, out));
    const PlacedTensor& placed = out_.tensors[size(first.weight.index)];
    if (first.bias || first.rows < 1 ||
        size(first.first_row) + size(count) * size(out) > placed.rows)
      return fail(ErrorCode::unsupported,
                  "cuda: block {}: tensor {} has {} rows, expected {} for each of {} experts",
                  block_, plan_.tensors[size(first.weight.index)].name, placed.rows, out, count);
    return {};
  }

  Result<> vector(TensorId id) {
    if (!id) return {};
    PlacedTensor& placed = out_.tensors[size(id.index)];
    placed.width = 1;
    for (const std::int64_t n : plan_.tensors[size(id.index)].shape)
      placed.width *= static_cast<std::size_t>(n);
    placed.bytes = placed.width * sizeof(float);
    return {};
  }
  Result<> matrix(TensorId id, bool product) {
    if (!id) return {};
    const Tensor& tensor = plan_.tensors[size(id.index)];
    PlacedTensor& placed = out_.tensors[size(id.index)];
    placed.matrix = find_matrix_format(tensor.format);
    if (!placed.matrix || !tensor.computed.empty() || tensor.shape.size() != 2)
      return fail(ErrorCode::unsupported,
                  "cuda: block {}: tensor {} is no matrix of a format that is served ({})", block_,
                  tensor.name, tensor.format ? tensor.format->name : "unknown");
    placed.rows = static_cast<std::size_t>(tensor.shape[0]);
    placed.width = static_cast<std::size_t>(tensor.shape[1]);
    placed.layout = placed.matrix->layout(placed.rows, placed.width);
    placed.bytes = placed.layout.bytes;
    if (product) out_.forms |= placed.matrix->forms(order_);
    if (product && placed.matrix->expand)
      out_.expanded_bytes = std::max(
          out_.expanded_bytes, placed.rows * expanded_row_bytes(static_cast<int>(placed.width)));
    return {};
  }

  void place() {
    const auto take = [this](std::size_t bytes) {
      return std::exchange(out_.weight_bytes, aligned(out_.weight_bytes + bytes));
    };
    for (PlacedTensor& tensor : out_.tensors) tensor.offset = take(tensor.bytes);
    for (PlacedRope& rope : out_.ropes)
      rope.offset = take(sizeof(double) * size(rope.rope.dims / 2));
    out_.not_finite = take(sizeof(std::int32_t) * out_.tensors.size());
    out_.piece_bytes = aligned(piece_bytes());
    out_.staging = take(2 * out_.piece_bytes);
  }

  // An ordinary piece, or less if no matrix has as much, or more if one row has.
  std::size_t piece_bytes() const {
    std::size_t longest = sizeof(double), most = 0;
    for (const PlacedTensor& tensor : out_.tensors) {
      if (!tensor.matrix) continue;
      const std::size_t row = file_row_bytes(*tensor.matrix->format, tensor.width);
      longest = std::max(longest, row);
      most = std::max(most, row * tensor.rows);
    }
    return std::max(longest, std::min(kPieceBytes, most));
  }

  const Plan& plan_;
  const Order order_;
  Lowered out_;
  int block_ = 0;
};

}  // namespace

const PlacedRope* Lowered::find(const Rope& rope) const noexcept {
  const auto found = std::find_if(ropes.begin(), ropes.end(),
                                  [&](const PlacedRope& known) { return same(known.rope, rope); });
  return found == ropes.end() ? nullptr : &*found;
}

Result<Lowered> lower(const Plan& plan, Slice slice, Order order) {
  Lowering lowering(plan, order);
  for (int b = slice.first; b < slice.last; ++b) TYTO_TRY(lowering.add(b));
  return lowering.finish();
}

Result<> check_cache(CacheType type) {
  if (type == CacheType::q4_0)
    return Error(ErrorCode::unsupported, "cuda: a cache of 4 bits a value is not served");
  return {};
}

CacheView cache_shape(const CacheSpec& spec, CacheType type) noexcept {
  CacheView view{};
  view.type = type;
  view.kv_heads = spec.kv_heads;
  view.key_bytes = cached_bytes(type, spec.key_dim);
  view.slot_bytes = view.key_bytes + cached_bytes(type, spec.value_dim);
  view.page_bytes = view.slot_bytes * kPageTokens * size(spec.layers) * size(spec.kv_heads);
  return view;
}

namespace {

// Splits of all rows of a step.
int most_partials(int context, int rows, Order order) {
  int most = 0;
  for (int r = 1; r <= rows; ++r) most = std::max(most, r * splits_of(context, r, order));
  return most;
}

}  // namespace

Workspace::Workspace(const Plan& plan, Slice slice, const Lowered& lowered,
                     const Capacity& capacity, Order order)
    : step(plan, capacity) {
  int q_width = 0, kv_width = 0, ff = 0, heads = 0;
  bool head = false;
  for (int b = slice.first; b < slice.last; ++b) {
    const Block& block = plan.blocks[size(b)];
    if (const auto* a = std::get_if<Attention>(&block)) {
      heads = std::max(heads, a->heads);
      q_width = std::max(q_width, a->heads * a->head_dim);
      kv_width = std::max(kv_width, a->kv_heads * a->head_dim);
    } else if (const auto* m = std::get_if<Mlp>(&block)) {
      ff = std::max(ff, outputs_of(plan, m->up));
    } else {
      head = head || std::holds_alternative<Head>(block);
    }
  }
  bytes = aligned(step.bytes);
  const int rows = capacity.rows;
  stream = floats(rows, plan.width);
  q = floats(rows, q_width);
  k = floats(rows, kv_width);
  v = floats(rows, kv_width);
  gate = floats(rows, ff);
  up = floats(rows, ff);
  const int outputs = head ? capacity.outputs : 0, chunks = rank_chunks_of(plan.vocab);
  logits = floats(outputs, plan.vocab);
  rank_keys = take(outputs, chunks * kTopLogits, sizeof(RankKey));
  rank_sums = take(outputs, chunks, sizeof(float) * 2);
  top_bytes = size(outputs) * sizeof(TopLogits);
  top = take(1, 1, top_bytes);
  const bool blas_there = order == Order::fastest && blas_library() != nullptr;
  forms = lowered.forms;
  if (blas_there && rows >= kLeastExpandedRows)
    expanded_bytes = std::min(lowered.expanded_bytes, kExpandedBytes);
  forms.halves = forms.halves || expanded_bytes > 0;
  input = take_records(forms, std::max(rows, capacity.outputs), plan.width);
  inner = take_records(forms, rows, std::max(q_width, ff));
  take_experts(plan, slice, lowered, order, rows);
  const int partials = most_partials(plan.context, rows, order);
  partial_sums = floats(partials, q_width);
  partial_state = take(partials, heads, sizeof(float) * 2);
  if (blas_there && forms.halves && rows >= kLeastBlasRows) {
    blas = take(1, 1, kBlasWorkspace);
    expanded = take(1, 1, expanded_bytes);
  }
  for (const PlacedRope& rope : lowered.ropes)
    turns.push_back(take(rows, rope.rope.dims / 2, sizeof(float) * 2));
}

RecordsLayout Workspace::take_records(const Forms& of, int count, int width) {
  RecordsLayout layout;
  const int stride = padded(width);
  if (of.floats) layout.floats = floats(count, stride);
  if (of.halves) layout.halves = take(count, stride, sizeof(std::uint16_t));
  if (of.codes) {
    layout.codes = take(count, stride, 1);
    layout.scales = floats(count, stride / kUnit);
    layout.sums = take(count, stride / 16, sizeof(std::int16_t));
  }
  return layout;
}

void Workspace::take_experts(const Plan& plan, Slice slice, const Lowered& lowered, Order order,
                             int rows) {
  int all = 0, active = 0, ff = 0;
  for (int b = slice.first; b < slice.last; ++b) {
    if (const auto* moe = std::get_if<Moe>(&plan.blocks[size(b)])) {
      all = std::max(all, moe->experts);
      active = std::max(active, moe->active);
      ff = std::max(ff, moe->up.rows);
      for (const Linear* l : {&moe->gate, &moe->up, &moe->down})
        experts.forms |= lowered.tensors[size(l->weight.index)].matrix->forms(order);
    }
  }
  if (all == 0) return;
  const int members = rows * active;
  experts.scores = floats(rows, all);
  experts.choices = take(members, 1, sizeof(Choice));
  experts.groups = take(all, 1, sizeof(ExpertGroup));
  experts.rows = take(members, 1, sizeof(std::int32_t));
  experts.members = take(1, 1, sizeof(std::int32_t));
  experts.gate = floats(members, ff);
  experts.up = floats(members, ff);
  experts.results = floats(members, plan.width);
  experts.input = take_records(experts.forms, members, plan.width);
  experts.inner = take_records(experts.forms, members, ff);
}

}  // namespace tyto::cuda
