#include "cuda/block_kernels.h"

#include <algorithm>
#include <limits>

#include "cuda/blocks/blocks.h"
#include "cuda/large_products.h"
#include "cuda/sizes.h"

namespace tyto::cuda {
namespace {

class Builder {
 public:
  Builder(const Plan& plan, const Lowered& lowered, const std::byte* weights,
          const CudaCache& cache, const Workspace& places, std::byte* workspace, const Queue& queue,
          std::shared_ptr<const Blas> blas)
      : plan_(plan),
        order_(queue.order),
        blocks_(kNormalizingBlocks * queue.multiprocessors),
        blas_(std::move(blas)),
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

    multiply({{b.q, heads.q, q_width}, {b.k, heads.k, kv_width}, {b.v, heads.v, kv_width}},
             stream(b.norm), &Bucket::rows);
    const Partials partials{floats(places_.partial_sums),
                            reinterpret_cast<float2*>(workspace_ + places_.partial_state)};
    const Attend attention{heads, b.scale, places_.step.tiling_of(b), tile_rows(b), partials};
    const Merge merged{partials, b.heads, b.head_dim, records(places_.inner, q_width)};
    const auto splits = [context = plan_.context, order = order_](const Bucket& n) {
      return splits_of(context, n.rows, order);
    };
    add([=, step = step_](const Bucket& n, cudaStream_t s) {
      if (readies_heads(attention, splits(n), n.rows)) return cudaSuccess;
      return store_heads(heads, step, n.rows, s);
    });
    add([=, step = step_](const Bucket& n, cudaStream_t s) {
      return attend(attention, step, splits(n), n.rows, s);
    });
    add([=, step = step_](const Bucket& n, cudaStream_t s) {
      return merge(merged, step, splits(n), n.rows, s);
    });
    multiply({{b.out, floats(places_.stream), plan_.width, true}}, merged.to);
  }

  void build(const Mlp& b) {
    const Normalize input = stream(b.norm);
    const int width = outputs_of(plan_, b.up);
    Activate act{};
    std::vector<Wanted> wanted = {{b.up, floats(places_.up), width}};
    if (b.gate.weight) {
      wanted.push_back({b.gate, floats(places_.gate), width});
      act.gate = floats(places_.gate);
    }
    act.up = floats(places_.up);
    act.width = width;
    act.act = b.act;
    act.count = &step_.counts->rows;
    act.to = records(places_.inner, width);

    const Grouped products = grouped(wanted);
    const bool one_kernel = act.gate && products.size() == 1;
    const auto fused = [one_kernel](const Bucket& n) {
      return one_kernel && n.rows <= kMostActivatedRows;
    };
    normalize_for(products, input, &Bucket::rows);
    for (const auto& [format, parts] : products)
      add([=, format = format, parts = parts, blocks = blocks_,
           apart = product(format, parts, input, &Bucket::rows)](const Bucket& n, cudaStream_t s) {
        return fused(n) ? format->multiply_activated(parts, input, act, n.rows, blocks, s)
                        : apart(n, s);
      });
    add([=](const Bucket& n, cudaStream_t s) {
      return fused(n) ? cudaSuccess : activate(act, n.rows, s);
    });
    multiply({{b.down, floats(places_.stream), plan_.width, true}}, act.to);
  }

  void build(const Moe& b) {
    const ExpertPlaces& at = places_.experts;
    const int width = b.up.rows, active = b.active;
    const Normalize normalized = stream(b.norm);
    const Records input = normalized.to;
    add([=](const Bucket& n, cudaStream_t s) { return normalize(normalized, n.rows, s); });
    multiply({{b.router, floats(at.scores), b.experts}}, input);
    const Experts x{floats(at.scores),
                    reinterpret_cast<Choice*>(workspace_ + at.choices),
                    reinterpret_cast<ExpertGroup*>(workspace_ + at.groups),
                    reinterpret_cast<std::int32_t*>(workspace_ + at.rows),
                    reinterpret_cast<std::int32_t*>(workspace_ + at.members),
                    b.experts,
                    active};
    add([=, step = step_](const Bucket& n, cudaStream_t s) {
      return choose_experts(x, step, n.rows, s);
    });
    add([=, step = step_](const Bucket&, cudaStream_t s) { return group_members(x, step, s); });
    const Records members = records(at.input, plan_.width, at.forms);
    add([=](const Bucket& n, cudaStream_t s) {
      return take_records(x, input, members, n.rows * active, s);
    });
    multiply_by_experts({{b.up, floats(at.up), width}, {b.gate, floats(at.gate), width}}, members,
                        x);
    const Activate act{floats(at.gate), floats(at.up), width,
                       b.act,           x.members,     records(at.inner, width, at.forms)};
    add([=](const Bucket& n, cudaStream_t s) { return activate(act, n.rows * active, s); });
    multiply_by_experts({{b.down, floats(at.results), plan_.width}}, act.to, x);
    add([=, step = step_, results = floats(at.results), to = floats(places_.stream),
         columns = plan_.width](const Bucket& n, cudaStream_t s) {
      return add_members(x, step, results, columns, to, n.rows, s);
    });
  }

  void build(const Head& b) {
    Normalize input = stream(b.norm);
    input.count = &step_.counts->outputs;
    input.rows = step_.outputs;
    multiply({{b.logits, floats(places_.logits), plan_.vocab}}, input, &Bucket::outputs);

    const Rank rank{floats(places_.logits),
                    plan_.vocab,
                    rank_chunks_of(plan_.vocab),
                    reinterpret_cast<RankKey*>(workspace_ + places_.rank_keys),
                    reinterpret_cast<float2*>(workspace_ + places_.rank_sums),
                    reinterpret_cast<TopLogits*>(workspace_ + places_.top)};
    add([=, step = step_](const Bucket& n, cudaStream_t s) {
      return rank_chunks(rank, step, n.outputs, s);
    });
    add([=, step = step_](const Bucket& n, cudaStream_t s) {
      return rank_rows(rank, step, n.outputs, s);
    });
  }

  // All rows of the stream.
  Normalize stream(const Norm& of) const {
    return {norm(of),    floats(places_.stream),
            plan_.width, &step_.counts->rows,
            nullptr,     records(places_.input, plan_.width)};
  }

  struct Wanted {
    const Linear& linear;
    float* out;
    int stride;
    bool adds = false;
  };
  // Those of one format, in one kernel.
  using Grouped = std::vector<std::pair<const MatrixFormat*, Products>>;
  Grouped grouped(const std::vector<Wanted>& wanted, const std::int32_t* count = nullptr) const {
    Grouped kernels;
    for (const Wanted& each : wanted) {
      const Linear& l = each.linear;
      const MatrixFormat* const format = placed(l.weight).matrix;
      auto at = std::find_if(kernels.begin(), kernels.end(),
                             [&](const auto& known) { return known.first == format; });
      if (at == kernels.end()) at = kernels.insert(at, {format, {}});
      at->second.parts[at->second.count++] = {
          matrix(l.weight, l.first_row, outputs_of(plan_, l)),
          {count ? count : &step_.counts->rows, bias(l), each.out, each.stride, each.adds}};
    }
    return kernels;
  }

  void multiply(const std::vector<Wanted>& wanted, const Records& x) {
    for (const auto& [format, parts] : grouped(wanted))
      add(product(format, parts, x, &Bucket::rows));
  }
  void multiply(const std::vector<Wanted>& wanted, const Normalize& input, int Bucket::*count) {
    const Grouped products = grouped(wanted, input.count);
    normalize_for(products, input, count);
    for (const auto& [format, parts] : products) add(product(format, parts, input, count));
  }
  void multiply_by_experts(const std::vector<Wanted>& wanted, const Records& x, const Experts& of) {
    for (auto [format, parts] : grouped(wanted)) {
      parts.groups = of.groups;
      add([=, format = format, parts = parts, order = order_](const Bucket& n, cudaStream_t s) {
        Products shared = parts;
        shared.most_groups = std::min(of.experts, n.rows * of.active);
        return format->multiply(shared, x, n.rows, order, s);
      });
    }
  }

  // Queued where a kernel of the products does not normalize its rows itself.
  void normalize_for(const Grouped& products, const Normalize& input, int Bucket::*count) {
    int most = std::numeric_limits<int>::max();
    for (const auto& [format, parts] : products)
      most = std::min(most, format->normalized_rows(input.width));
    add([=](const Bucket& n, cudaStream_t s) {
      return n.*count <= most ? cudaSuccess : normalize(input, n.*count, s);
    });
  }
  Kernel product(const MatrixFormat* format, const Products& parts, const Normalize& input,
                 int Bucket::*count) const {
    return [=, blocks = blocks_, given = product(format, parts, input.to, count)](const Bucket& n,
                                                                                  cudaStream_t s) {
      return n.*count <= format->normalized_rows(input.width)
                 ? format->multiply_normalized(parts, input, n.*count, blocks, s)
                 : given(n, s);
    };
  }
  Kernel product(const MatrixFormat* format, const Products& parts, const Records& x,
                 int Bucket::*count) const {
    const Kernel kernel = [=, order = order_](const Bucket& n, cudaStream_t s) {
      return format->multiply(parts, x, n.*count, order, s);
    };
    if (!blas_ || !LargeProducts::serves(*format) || (format->expand && !places_.expanded_bytes))
      return kernel;
    const auto large =
        std::make_shared<LargeProducts>(blas_, *format, parts, x, workspace_ + places_.blas,
                                        workspace_ + places_.expanded, places_.expanded_bytes);
    return [=](const Bucket& n, cudaStream_t s) {
      bool served = n.*count >= LargeProducts::least_rows(*format);
      if (served)
        if (const cudaError_t code = large->multiply(n.*count, s, served); code != cudaSuccess)
          return code;
      return served ? cudaSuccess : kernel(n, s);
    };
  }

  void add(Kernel kernel) { kernels_.push_back(std::move(kernel)); }

  float* floats(std::size_t place) const { return reinterpret_cast<float*>(workspace_ + place); }
  Records records(const RecordsLayout& places, int width) const {
    return records(places, width, places_.forms);
  }
  Records records(const RecordsLayout& places, int width, const Forms& forms) const {
    Records out;
    if (forms.floats) out.floats = floats(places.floats);
    if (forms.halves) out.halves = reinterpret_cast<std::uint16_t*>(workspace_ + places.halves);
    if (forms.codes) {
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
  const Order order_;
  const int blocks_;  // of kernels that normalize their rows themselves
  const std::shared_ptr<const Blas> blas_;
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
                                               std::byte* workspace, const Queue& queue,
                                               std::shared_ptr<const Blas> blas) {
  Builder builder(plan, lowered, weights, cache, places, workspace, queue, std::move(blas));
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
