#include "cuda/block_kernels.h"

#include "cuda/blocks/blocks.h"
#include "cuda/sizes.h"

namespace tyto::cuda {
namespace {

class Builder {
 public:
  Builder(const Plan& plan, const Lowered& lowered, const std::byte* weights,
          const CudaCache& cache, const Workspace& places, std::byte* workspace)
      : plan_(plan),
        lowered_(lowered),
        weights_(weights),
        cache_(cache),
        places_(places),
        workspace_(workspace),
        step_(places.step.view(workspace)),
        layers_(plan.caches.size()) {}

  std::vector<Kernel> begin(bool embeds) {
    if (!embeds)
      add([=, step = step_, width = plan_.width, stream = floats(places_.stream)](const Bucket& n,
                                                                                  cudaStream_t s) {
        return take_hidden(step, stream, width, n.rows, s);
      });
    for (std::size_t i = 0; i < lowered_.ropes.size(); ++i) {
      const PlacedRope& rope = lowered_.ropes[i];
      const Turns turns{reinterpret_cast<const double*>(weights_ + rope.offset),
                        reinterpret_cast<float2*>(workspace_ + places_.turns[i]),
                        rope.rope.dims / 2};
      add([=, step = step_](const Bucket& n, cudaStream_t s) {
        return turn(turns, step, n.rows, s);
      });
    }
    return std::exchange(kernels_, {});
  }

  std::vector<Kernel> build(const Block& block) {
    std::visit([this](const auto& b) { build(b); }, block);
    return std::exchange(kernels_, {});
  }

 private:
  void build(const Embed& b) {
    embed_rows(b.table, false);
    if (b.positions) embed_rows(b.positions, true);
  }
  void embed_rows(TensorId id, bool positions) {
    const MatrixView table = matrix(id, 0, 0);
    add([=, format = placed(id).matrix, step = step_, stream = floats(places_.stream)](
            const Bucket& n, cudaStream_t s) {
      return format->embed(table, positions, step, stream, n.rows, s);
    });
  }

  void build(const Attention& b) {
    const int q_width = b.heads * b.head_dim, kv_width = b.kv_heads * b.head_dim;
    float* const attended = floats(places_.attended);
    Heads heads{};
    heads.q = floats(places_.q);
    heads.k = floats(places_.k);
    heads.v = floats(places_.v);
    heads.heads = b.heads;
    heads.kv_heads = b.kv_heads;
    heads.head_dim = b.head_dim;
    heads.q_norm = norm(b.q_norm);
    heads.k_norm = norm(b.k_norm);
    if (const PlacedRope* rope = b.rope.theta > 0 ? lowered_.find(b.rope) : nullptr) {
      const std::size_t place = places_.turns[static_cast<std::size_t>(rope - &lowered_.ropes[0])];
      heads.turns = reinterpret_cast<const float2*>(workspace_ + place);
      heads.pairs = b.rope.dims / 2;
      heads.interleaved = b.rope.interleaved;
    }
    heads.cache = cache_.view(b.cache, layers_[size(b.cache)]++);

    const Records input = normalized(b.norm);
    multiply(b.q, input, heads.q, q_width);
    multiply(b.k, input, heads.k, kv_width);
    multiply(b.v, input, heads.v, kv_width);
    add([=, step = step_](const Bucket& n, cudaStream_t s) {
      return store_heads(heads, step, n.rows, s);
    });
    add([=, step = step_, scale = b.scale](const Bucket& n, cudaStream_t s) {
      return attend(heads, scale, step, attended, n.rows, s);
    });
    const Normalize as_records{
        {}, attended, q_width, &step_.counts->rows, nullptr, records(places_.inner, q_width)};
    add([=](const Bucket& n, cudaStream_t s) { return normalize(as_records, n.rows, s); });
    multiply(b.out, as_records.to, floats(places_.stream), plan_.width, true);
  }

  void build(const Mlp& b) {
    const Records input = normalized(b.norm);
    const int width = outputs_of(plan_, b.up);
    Activate act{};
    if (b.gate.weight) {
      multiply(b.gate, input, floats(places_.gate), width);
      act.gate = floats(places_.gate);
    }
    multiply(b.up, input, floats(places_.up), width);
    act.up = floats(places_.up);
    act.width = width;
    act.act = b.act;
    act.count = &step_.counts->rows;
    act.to = records(places_.inner, width);
    add([=](const Bucket& n, cudaStream_t s) { return activate(act, n.rows, s); });
    multiply(b.down, act.to, floats(places_.stream), plan_.width, true);
  }

  void build(const Head& b) {
    const Normalize wanted{norm(b.norm),  floats(places_.stream),
                           plan_.width,   &step_.counts->outputs,
                           step_.outputs, records(places_.input, plan_.width)};
    add([=](const Bucket& n, cudaStream_t s) { return normalize(wanted, n.outputs, s); });
    const Destination to{wanted.count, bias(b.logits), floats(places_.logits), plan_.vocab, false};
    const MatrixView logits = matrix(b.logits.weight, b.logits.first_row, plan_.vocab);
    add([=, format = placed(b.logits.weight).matrix](const Bucket& n, cudaStream_t s) {
      return format->multiply(logits, wanted.to, to, n.outputs, s);
    });
  }

  // The whole stream, normalized.
  Records normalized(const Norm& of) {
    const Normalize all{norm(of),    floats(places_.stream),
                        plan_.width, &step_.counts->rows,
                        nullptr,     records(places_.input, plan_.width)};
    add([=](const Bucket& n, cudaStream_t s) { return normalize(all, n.rows, s); });
    return all.to;
  }
  void multiply(const Linear& l, const Records& x, float* out, int stride, bool adds = false) {
    const MatrixView view = matrix(l.weight, l.first_row, outputs_of(plan_, l));
    const Destination to{&step_.counts->rows, bias(l), out, stride, adds};
    add([=, format = placed(l.weight).matrix](const Bucket& n, cudaStream_t s) {
      return format->multiply(view, x, to, n.rows, s);
    });
  }

  void add(Kernel kernel) { kernels_.push_back(std::move(kernel)); }

  float* floats(std::size_t place) const { return reinterpret_cast<float*>(workspace_ + place); }
  Records records(const RecordsLayout& places, int width) const {
    Records out;
    if (lowered_.floats) out.floats = floats(places.floats);
    if (lowered_.codes) {
      out.codes = reinterpret_cast<std::int8_t*>(workspace_ + places.codes);
      out.scales = floats(places.scales);
      out.sums = reinterpret_cast<std::int16_t*>(workspace_ + places.sums);
    }
    out.stride = padded(width);
    return out;
  }
  const PlacedTensor& placed(TensorId id) const { return lowered_.tensors[size(id.index)]; }
  const float* vector(TensorId id) const {
    return id ? reinterpret_cast<const float*>(weights_ + placed(id).offset) : nullptr;
  }
  const float* bias(const Linear& l) const {
    return l.bias ? vector(l.bias) + l.first_row : nullptr;
  }
  NormView norm(const Norm& n) const { return {vector(n.weight), vector(n.bias), n.eps, n.center}; }
  MatrixView matrix(TensorId id, int first_row, int rows) const {
    const PlacedTensor& tensor = placed(id);
    MatrixView view{};
    for (int p = 0; p < kPlanes; ++p)
      view.planes[p] = weights_ + tensor.offset + tensor.layout.planes[p].offset;
    view.width = static_cast<int>(tensor.width);
    view.first_row = first_row;
    view.rows = rows;
    return view;
  }

  const Plan& plan_;
  const Lowered& lowered_;
  const std::byte* const weights_;
  const CudaCache& cache_;
  const Workspace& places_;
  std::byte* const workspace_;
  const StepView step_;
  std::vector<int> layers_;  // of each cache, that came before
  std::vector<Kernel> kernels_;
};

}  // namespace

std::vector<std::vector<Kernel>> block_kernels(const Plan& plan, Slice slice,
                                               const Lowered& lowered, const std::byte* weights,
                                               const CudaCache& cache, const Workspace& places,
                                               std::byte* workspace) {
  Builder builder(plan, lowered, weights, cache, places, workspace);
  std::vector<std::vector<Kernel>> blocks;
  const bool embeds = std::holds_alternative<Embed>(plan.blocks[size(slice.first)]);
  std::vector<Kernel> first = builder.begin(embeds);
  for (int b = slice.first; b < slice.last; ++b) {
    blocks.push_back(builder.build(plan.blocks[size(b)]));
    if (b > slice.first) continue;
    first.insert(first.end(), blocks[0].begin(), blocks[0].end());
    blocks[0] = std::move(first);
  }
  return blocks;
}

}  // namespace tyto::cuda
