#include "cpu/lowered.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "src/base/checked.h"
#include "src/base/error.h"

namespace tyto::cpu {
namespace {

constexpr std::int64_t kMostRows = std::int64_t{1} << 30;

// Gives every weight its place, once, however many blocks use it.
class Lowering {
 public:
  Lowering(const Plan& plan, const IsaTable& table) : plan_(plan), table_(table) {
    out_.width = plan.width;
    out_.vocab = plan.vocab;
    out_.context = plan.context;
    out_.caches = plan.caches;
    layers_.resize(plan.caches.size());
  }

  // Blocks before the slice count too: a cache's layers have the same numbers in every slice.
  void skip(const Block& block) {
    if (const auto* a = std::get_if<Attention>(&block))
      ++layers_[static_cast<std::size_t>(a->cache)];
  }

  Result<> add(int number, const Block& block) {
    block_ = number;
    TYTO_TRY(Part part, std::visit([this](const auto& b) { return lower(b); }, block));
    out_.parts.push_back(std::move(part));
    return {};
  }

  Result<Lowered> finish() && {
    const auto bytes = bytes_.get();
    if (!bytes) return fail(ErrorCode::bad_file, "the weights exceed the address space");
    out_.weight_bytes = static_cast<std::size_t>(*bytes);
    return std::move(out_);
  }

 private:
  Error unsupported(std::string_view field, std::string_view what) const {
    return fail(ErrorCode::unsupported, "block {}, {}: {} on the cpu backend", block_, field, what);
  }

  std::size_t place(std::uint64_t bytes) {
    const auto at = bytes_.get();
    bytes_ = (bytes_ + Checked(bytes)).rounded_up(64);
    return at ? static_cast<std::size_t>(*at) : 0;
  }

  // All of a matrix but its place.
  Result<Matrix> describe(std::string_view field, TensorId id, int first_row, int rows) const {
    const Tensor& tensor = plan_.tensors[static_cast<std::size_t>(id.index)];
    if (tensor.shape.size() != 2 || tensor.format == nullptr)
      return unsupported(field, "a tensor that is not a matrix of a known format");
    if (rows == 0) rows = static_cast<int>(std::min(tensor.shape[0] - first_row, kMostRows));
    if (first_row < 0 || rows < 1 || first_row + std::int64_t{rows} > tensor.shape[0] ||
        tensor.shape[1] < 1 || tensor.shape[1] > kMostRows)
      return unsupported(field, "rows that the tensor does not have");
    Matrix m;
    m.kernel = &table_.kernel(*tensor.format);
    m.tensor = id.index;
    m.first_row = first_row;
    m.rows = rows;
    m.panels = (rows + m.kernel->panel_rows - 1) / m.kernel->panel_rows;
    m.k = static_cast<std::size_t>(tensor.shape[1]);
    if (m.k % static_cast<std::size_t>(tensor.format->block_values) != 0)
      return unsupported(field, "a width that is not whole blocks");
    m.panel_bytes = m.kernel->panel_bytes(m.k);
    return m;
  }

  Result<int> add(std::string_view field, Matrix m) {
    const auto bytes = (Checked(static_cast<unsigned>(m.panels)) * Checked(m.panel_bytes) *
                        Checked(static_cast<unsigned>(m.experts)))
                           .get();
    if (!bytes) return unsupported(field, "a tensor beyond the address space");
    m.offset = place(*bytes);
    out_.matrices.push_back(m);
    return static_cast<int>(out_.matrices.size()) - 1;
  }

  Result<int> matrix(std::string_view field, TensorId id, int first_row, int rows) {
    TYTO_TRY(const Matrix wanted, describe(field, id, first_row, rows));
    for (std::size_t i = 0; i < out_.matrices.size(); ++i) {
      const Matrix& m = out_.matrices[i];
      if (m.tensor == wanted.tensor && m.first_row == wanted.first_row && m.rows == wanted.rows &&
          m.experts == 1)
        return static_cast<int>(i);
    }
    return add(field, wanted);
  }

  Result<int> experts(std::string_view field, const Linear& l, int count, int in, int rows) {
    if (!l.weight || l.bias || l.rows != rows || rows < 1)
      return unsupported(field, "experts without weights, with biases or of other rows");
    const std::int64_t tensor_rows =
        plan_.tensors[static_cast<std::size_t>(l.weight.index)].shape[0];
    if (l.first_row < 0 || l.first_row + std::int64_t{rows} * count > tensor_rows)
      return unsupported(field, "rows that the tensor does not have");
    TYTO_TRY(Matrix m, describe(field, l.weight, l.first_row, rows));
    if (m.k != static_cast<std::size_t>(in))
      return unsupported(field, "a shape that does not fit the block");
    m.experts = count;
    return add(field, m);
  }

  std::size_t vector(TensorId id, int first, int size) {
    if (!id) return kAbsent;
    for (const Vector& v : out_.vectors)
      if (v.tensor == id.index && v.first == first && v.size == size) return v.offset;
    out_.vectors.push_back(
        {id.index, first, size, place(std::uint64_t{4} * static_cast<unsigned>(size))});
    return out_.vectors.back().offset;
  }

  // A linear of `in` inputs and, if that is known, `rows` outputs.
  Result<LinearPart> linear(std::string_view field, const Linear& l, int in, int rows) {
    LinearPart part;
    if (!l.weight) return part;
    TYTO_TRY(part.matrix, matrix(field, l.weight, l.first_row, l.rows));
    const Matrix& m = out_.matrices[static_cast<std::size_t>(part.matrix)];
    if (m.k != static_cast<std::size_t>(in) || (rows > 0 && m.rows != rows))
      return unsupported(field, "a shape that does not fit the block");
    part.bias = vector(l.bias, l.first_row, m.rows);
    return part;
  }

  Result<int> table(std::string_view field, TensorId id) {
    TYTO_TRY(const int index, matrix(field, id, 0, 0));
    if (out_.matrices[static_cast<std::size_t>(index)].k != static_cast<std::size_t>(plan_.width))
      return unsupported(field, "a table of another width than the model");
    return index;
  }

  NormPart norm(const Norm& n, int width) {
    return {vector(n.weight, 0, width), vector(n.bias, 0, width), width, n.eps, n.center};
  }

  int rope(const Rope& r) {
    if (r.theta == 0 || r.dims == 0) return -1;
    const auto same = [&](const RopePart& part) {
      const Rope& o = part.rope;
      return o.theta == r.theta && o.scale == r.scale && o.dims == r.dims &&
             o.factors.index == r.factors.index && o.interleaved == r.interleaved;
    };
    const auto found = std::find_if(out_.ropes.begin(), out_.ropes.end(), same);
    if (found != out_.ropes.end()) return static_cast<int>(found - out_.ropes.begin());
    out_.ropes.push_back({r, vector(r.factors, 0, r.dims / 2)});
    return static_cast<int>(out_.ropes.size()) - 1;
  }

  Result<Part> lower(const Embed& b) {
    EmbedPart part;
    TYTO_TRY(part.table, table("table", b.table));
    if (b.positions) {
      TYTO_TRY(part.positions, table("positions", b.positions));
    }
    return Part(part);
  }

  Result<Part> lower(const Attention& b) {
    AttentionPart part;
    const auto cache = static_cast<std::size_t>(b.cache);
    if (b.heads < 1 || b.kv_heads < 1 || b.heads % b.kv_heads != 0)
      return unsupported("heads", "heads that are not a multiple of the kv heads");
    if (b.head_dim < 1 || b.head_dim > 4096)
      return unsupported("head_dim", "heads wider than 4096");
    const CacheSpec& spec = out_.caches[cache];
    if (spec.key_dim != b.head_dim || spec.value_dim != b.head_dim || spec.kv_heads != b.kv_heads)
      return unsupported("cache", "a cache of another shape");
    if (b.rope.dims < 0 || b.rope.dims % 2 != 0 || b.rope.dims > b.head_dim)
      return unsupported("rope.dims", "an odd number, or more than a head has");
    const int q = b.heads * b.head_dim, kv = b.kv_heads * b.head_dim;
    part.norm = norm(b.norm, plan_.width);
    TYTO_TRY(part.q, linear("q", b.q, plan_.width, q));
    TYTO_TRY(part.k, linear("k", b.k, plan_.width, kv));
    TYTO_TRY(part.v, linear("v", b.v, plan_.width, kv));
    part.q_norm = norm(b.q_norm, b.head_dim);
    part.k_norm = norm(b.k_norm, b.head_dim);
    part.rope = rope(b.rope);
    TYTO_TRY(part.out, linear("out", b.out, q, plan_.width));
    part.heads = b.heads;
    part.kv_heads = b.kv_heads;
    part.head_dim = b.head_dim;
    part.cache = b.cache;
    part.layer = layers_[cache]++;
    part.scale = b.scale;
    return Part(part);
  }

  Result<Part> lower(const Mlp& b) {
    MlpPart part;
    part.act = b.act;
    part.norm = norm(b.norm, plan_.width);
    TYTO_TRY(part.up, linear("up", b.up, plan_.width, 0));
    const int wide = out_.matrices[static_cast<std::size_t>(part.up.matrix)].rows;
    TYTO_TRY(part.gate, linear("gate", b.gate, plan_.width, wide));
    TYTO_TRY(part.down, linear("down", b.down, wide, plan_.width));
    return Part(part);
  }

  Result<Part> lower(const Moe& b) {
    MoePart part;
    if (b.active < 1 || b.active > b.experts)
      return unsupported("active", fmt::format("{} of {} experts", b.active, b.experts));
    if (!b.router.weight) return unsupported("router", "none");
    part.act = b.act;
    part.experts = b.experts;
    part.active = b.active;
    part.norm = norm(b.norm, plan_.width);
    TYTO_TRY(part.router, linear("router", b.router, plan_.width, b.experts));
    TYTO_TRY(part.up, experts("up", b.up, b.experts, plan_.width, b.up.rows));
    TYTO_TRY(part.gate, experts("gate", b.gate, b.experts, plan_.width, b.up.rows));
    TYTO_TRY(part.down, experts("down", b.down, b.experts, b.up.rows, plan_.width));
    return Part(part);
  }

  Result<Part> lower(const Head& b) {
    HeadPart part;
    part.norm = norm(b.norm, plan_.width);
    TYTO_TRY(part.logits, linear("logits", b.logits, plan_.width, plan_.vocab));
    return Part(part);
  }

  const Plan& plan_;
  const IsaTable& table_;
  Lowered out_;
  Checked bytes_{0};
  std::vector<int> layers_;  // per cache: attention blocks so far
  int block_ = 0;
};

}  // namespace

Result<Lowered> lower(const Plan& plan, Slice slice, const IsaTable& table) {
  Lowering lowering(plan, table);
  for (int b = 0; b < slice.first; ++b) lowering.skip(plan.blocks[static_cast<std::size_t>(b)]);
  for (int b = slice.first; b < slice.last; ++b)
    TYTO_TRY(lowering.add(b, plan.blocks[static_cast<std::size_t>(b)]));
  return std::move(lowering).finish();
}

HashValue places_of(const Plan& plan, const Lowered& lowered) {
  Hash128 hash;
  const auto add = [&](auto... numbers) {
    (hash.update(static_cast<std::uint64_t>(numbers)), ...);
  };
  const auto add_tensor = [&](int index) {
    const std::string& name = plan.tensors[static_cast<std::size_t>(index)].name;
    add(name.size());
    hash.update(std::as_bytes(std::span(name)));
  };
  add(lowered.matrices.size(), lowered.vectors.size());
  for (const Matrix& m : lowered.matrices) {
    add_tensor(m.tensor);
    add(m.kernel->format->gguf_type, m.kernel->panel_rows, m.first_row, m.rows, m.experts, m.k,
        m.panel_bytes, m.offset);
  }
  for (const Vector& v : lowered.vectors) {
    add_tensor(v.tensor);
    add(v.first, v.size, v.offset);
  }
  return hash.value();
}

}  // namespace tyto::cpu
