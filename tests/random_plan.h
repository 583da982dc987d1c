// Small random models as plans, and a rig that runs steps of them on any backend: what backends are
// tested with, without a file.
#pragma once
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "src/backend.h"
#include "src/file/tensor_source.h"
#include "src/quant/blocks.h"
#include "src/runtime.h"
#include "tests/runtime_of.h"

namespace tyto::test {

// Tensors in memory.
class MemoryTensors : public file::TensorSource {
 public:
  std::span<const file::TensorInfo> tensors() const noexcept override { return infos_; }
  const file::TensorInfo* find(std::string_view name) const noexcept override {
    for (const auto& info : infos_)
      if (info.name == name) return &info;
    return nullptr;
  }
  Result<> read(const file::TensorInfo& tensor, std::uint64_t offset,
                std::span<std::byte> into) const override {
    const auto& bytes = bytes_.at(tensor.name);
    if (offset + into.size() > bytes.size()) return Error(ErrorCode::io, "beyond the tensor");
    std::memcpy(into.data(), bytes.data() + offset, into.size());
    return {};
  }
  void add(const Tensor& tensor, std::vector<std::byte> bytes) {
    infos_.push_back(
        {tensor.name, tensor.shape, tensor.format, std::string(tensor.format->name), bytes.size()});
    bytes_[tensor.name] = std::move(bytes);
  }
  std::vector<std::byte>& bytes(const std::string& name) { return bytes_.at(name); }

 private:
  std::vector<file::TensorInfo> infos_;
  std::map<std::string, std::vector<std::byte>> bytes_;
};

struct PlanShape {
  int layers = 2, width = 48, heads = 4, kv_heads = 2, head_dim = 12, ff = 80, vocab = 40,
      context = 1024;
  const char* format = "f32";          // of all matrices
  const char* value_format = nullptr;  // of v and down; null: as the others
  const char* gate_format = nullptr;   // of experts' gates
  const char* router_format = "f32";
  bool mixed = false;  // every other layer has an MLP, and later ones more experts than the first
  Rope rope{10000, 1, 12, {}, false};
  bool rope_factors = false, biases = false, center = false, head_norms = false, gated = true;
  bool positions = false, tied = false, fused_qkv = false;
  Activation act = Activation::silu;
  int experts = 0, active = 0;  // 0: an MLP
};

struct RandomModel {
  Plan plan;
  MemoryTensors tensors;
};

// Random blocks of a format, with ordinary scales: about as large as normal numbers times `scale`.
inline std::vector<std::byte> random_blocks(const quant::Format& format, std::size_t values,
                                            float scale, std::mt19937& random) {
  const std::size_t size = static_cast<std::size_t>(format.block_bytes);
  const std::size_t blocks = values / static_cast<std::size_t>(format.block_values);
  std::vector<std::byte> out(blocks * size);
  for (std::byte& byte : out) byte = static_cast<std::byte>(random());
  std::normal_distribution<float> normal;
  for (std::size_t b = 0; b < blocks; ++b) {
    const auto put = [&](std::size_t at, auto value) {
      std::memcpy(out.data() + b * size + at, &value, sizeof(value));
    };
    const float x = normal(random) * scale;
    // The largest code of the format stands for about 2.5.
    const auto half = [&](float largest) {
      return quant::to_f16((0.5f + std::abs(normal(random))) * 2.5f * scale / largest);
    };
    if (format.name == "f32")
      put(0, x);
    else if (format.name == "bf16")
      put(0, quant::to_bf16(x));
    else if (format.name == "f16")
      put(0, quant::to_f16(x));
    else if (format.name == "q8_0")
      put(0, half(127));
    else if (format.name == "q6_k")
      put(208, half(127 * 32));
    else if (format.name == "q4_k" || format.name == "q5_k")
      put(0, half(63 * 15)), put(2, half(63 * 2));
    else
      put(0, half(8));
    if (format.name == "q4_1" || format.name == "q5_1") put(2, quant::to_f16(-2.0f * scale));
  }
  return out;
}

// Deterministic: the same shape gives the same model.
class PlanMaker {
 public:
  static std::unique_ptr<RandomModel> make(const PlanShape& shape) {
    PlanMaker maker(shape);
    maker.run();
    return std::move(maker.model_);
  }

 private:
  explicit PlanMaker(const PlanShape& shape) : s_(shape), model_(std::make_unique<RandomModel>()) {}

  TensorId add(std::string name, std::vector<std::int64_t> shape, const char* format, float scale,
               float middle = 0) {
    Tensor tensor{std::move(name), std::move(shape), quant::find_format(format), {}};
    std::size_t values = 1;
    for (const auto dim : tensor.shape) values *= static_cast<std::size_t>(dim);
    auto bytes = random_blocks(*tensor.format, values, scale, random_);
    if (middle != 0) {
      for (std::size_t i = 0; i < values; ++i) {
        float x;
        std::memcpy(&x, bytes.data() + i * 4, 4);
        x += middle;
        std::memcpy(bytes.data() + i * 4, &x, 4);
      }
    }
    model_->tensors.add(tensor, std::move(bytes));
    model_->plan.tensors.push_back(std::move(tensor));
    return {static_cast<int>(model_->plan.tensors.size()) - 1};
  }
  Linear linear(const std::string& name, int out, int in, const char* format) {
    Linear l;
    l.weight = add(name + ".weight", {out, in}, format, 1.0f / std::sqrt(static_cast<float>(in)));
    if (s_.biases) l.bias = add(name + ".bias", {out}, "f32", 0.3f);
    l.rows = out;
    return l;
  }
  Norm norm(const std::string& name, int width) {
    Norm n;
    n.weight = add(name + ".weight", {width}, "f32", 0.2f, 1.0f);
    if (s_.center) n.bias = add(name + ".bias", {width}, "f32", 0.2f);
    n.center = s_.center;
    n.eps = 1e-5f;
    return n;
  }
  void add_layer(int layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    const int q = s_.heads * s_.head_dim, kv = s_.kv_heads * s_.head_dim;
    Attention a;
    a.norm = norm(prefix + "attn_norm", s_.width);
    if (s_.fused_qkv) {
      const Linear all = linear(prefix + "qkv", q + 2 * kv, s_.width, s_.format);
      a.q = a.k = a.v = all;
      a.q.rows = q;
      a.k.first_row = q;
      a.v.first_row = q + kv;
      a.k.rows = a.v.rows = kv;
    } else {
      a.q = linear(prefix + "q", q, s_.width, s_.format);
      a.k = linear(prefix + "k", kv, s_.width, s_.format);
      a.v = linear(prefix + "v", kv, s_.width, values());
    }
    if (s_.head_norms) {
      a.q_norm = norm(prefix + "q_norm", s_.head_dim);
      a.k_norm = norm(prefix + "k_norm", s_.head_dim);
    }
    a.rope = s_.rope;
    if (s_.rope_factors) a.rope.factors = factors_;
    a.out = linear(prefix + "out", s_.width, q, s_.format);
    a.heads = s_.heads;
    a.kv_heads = s_.kv_heads;
    a.head_dim = s_.head_dim;
    a.scale = 1.0f / std::sqrt(static_cast<float>(s_.head_dim));
    model_->plan.blocks.emplace_back(a);
    if (s_.experts == 0 || (s_.mixed && layer % 2 == 1))
      add_mlp(prefix);
    else
      add_moe(prefix, s_.experts + (s_.mixed ? layer : 0), s_.ff + (s_.mixed ? 4 * layer : 0));
  }
  void add_mlp(const std::string& prefix) {
    Mlp m;
    m.norm = norm(prefix + "ffn_norm", s_.width);
    if (s_.gated) m.gate = linear(prefix + "gate", s_.ff, s_.width, s_.format);
    m.up = linear(prefix + "up", s_.ff, s_.width, s_.format);
    m.down = linear(prefix + "down", s_.width, s_.ff, values());
    m.act = s_.act;
    model_->plan.blocks.emplace_back(m);
  }
  void add_moe(const std::string& prefix, int count, int ff) {
    const auto experts = [&](const char* name, int out, int in, const char* format) {
      Linear l;
      l.weight = add(prefix + name + ".weight", {count * out, in}, format,
                     1.0f / std::sqrt(static_cast<float>(in)));
      l.rows = out;
      return l;
    };
    Moe m;
    m.norm = norm(prefix + "ffn_norm", s_.width);
    m.router = linear(prefix + "router", count, s_.width, s_.router_format);
    m.gate = experts("gate", ff, s_.width, s_.gate_format ? s_.gate_format : s_.format);
    m.up = experts("up", ff, s_.width, s_.format);
    m.down = experts("down", s_.width, ff, values());
    m.experts = count;
    m.active = s_.active;
    m.act = s_.act;
    model_->plan.blocks.emplace_back(m);
  }
  const char* values() const { return s_.value_format ? s_.value_format : s_.format; }
  void run() {
    Plan& plan = model_->plan;
    plan.family = "random";
    plan.width = s_.width;
    plan.vocab = s_.vocab;
    plan.context = s_.context;
    plan.caches = {{s_.layers, s_.kv_heads, s_.head_dim, s_.head_dim}};
    Embed e;
    e.table = add("table", {s_.vocab, s_.width}, s_.format, 1.0f);
    if (s_.positions) e.positions = add("positions", {s_.context, s_.width}, s_.format, 0.5f);
    if (s_.rope_factors) factors_ = add("factors", {s_.rope.dims / 2}, "f32", 0.1f, 2.0f);
    plan.blocks.emplace_back(e);
    for (int layer = 0; layer < s_.layers; ++layer) add_layer(layer);
    Head h;
    h.norm = norm("norm", s_.width);
    h.logits.weight = s_.tied ? e.table : add("output", {s_.vocab, s_.width}, s_.format, 0.3f);
    h.logits.rows = s_.vocab;
    plan.blocks.emplace_back(h);
  }

  const PlanShape s_;
  std::unique_ptr<RandomModel> model_;
  std::mt19937 random_{20240607};
  TensorId factors_;
};

// One backend with a model loaded, and page tables for a few sequences.
class Rig {
 public:
  Rig(std::unique_ptr<Backend> backend, const RandomModel& model, CacheType type, Capacity capacity,
      Slice slice = {}, int sequences = 4)
      : width_(model.plan.width), vocab_(model.plan.vocab), backend_(std::move(backend)) {
    if (slice.last == 0) slice.last = static_cast<int>(model.plan.blocks.size());
    const int pages_each = (model.plan.context + kPageTokens - 1) / kPageTokens;
    const std::vector<int> pages = {sequences * pages_each};
    weights_ = backend_->pack(model.plan, slice, model.tensors, {}).value();
    cache_ = backend_->new_cache(model.plan, slice, type, pages).value();
    program_ = backend_->compile(model.plan, slice, *weights_, *cache_, capacity).value();
    footprint_ = backend_->footprint(model.plan, slice, type, capacity).value();
    // Pages interleaved and backwards, so that no kernel gets along with adjacent ones.
    for (int s = 0; s < sequences; ++s) {
      tables_.emplace_back();
      for (int p = pages_each; p-- > 0;)
        tables_.back().push_back(static_cast<PageId>(p * sequences + s));
    }
  }

  struct Chunk {  // tokens[first, first + count) of a sequence's text
    int sequence = 0, first = 0, count = 0;
  };

  // Runs one step; appends the logits (or hidden state) of every row.
  std::vector<float> run(const std::vector<int>& tokens, const std::vector<Chunk>& chunks,
                         Want want = Want::logits,
                         Clock::time_point until = Clock::time_point::max()) {
    std::vector<Row> rows;
    std::vector<std::span<const PageId>> spans;
    spans.reserve(chunks.size());
    std::vector<Sequence> sequences;
    for (const Chunk& chunk : chunks) {
      spans.push_back(tables_[static_cast<std::size_t>(chunk.sequence)]);
      sequences.push_back({{&spans.back(), 1}});
      for (int i = chunk.first; i < chunk.first + chunk.count; ++i)
        rows.push_back({tokens[static_cast<std::size_t>(i)], static_cast<int>(sequences.size()) - 1,
                        i, 0, i + 1, i});
    }
    const int size = want == Want::logits ? vocab_ : width_;
    std::vector<float> out(rows.size() * static_cast<std::size_t>(size), -1.0f);
    std::vector<Output> outputs;
    for (std::size_t r = 0; r < rows.size(); ++r)
      outputs.push_back({static_cast<int>(r), want,
                         std::span(out).subspan(r * static_cast<std::size_t>(size),
                                                static_cast<std::size_t>(size))});
    program_->start({rows, sequences, hidden}, outputs).value();
    while (!program_->work(until).value()) ++interruptions;
    program_->finish().value();
    return out;
  }

  Program& program() { return *program_; }
  Backend& backend() { return *backend_; }
  Cache& cache() { return *cache_; }
  const Weights& weights() const { return *weights_; }
  const Footprint& footprint() const { return footprint_; }
  std::span<const PageId> table(int sequence) const {
    return tables_[static_cast<std::size_t>(sequence)];
  }

  std::span<const float> hidden;
  int interruptions = 0;

 private:
  int width_, vocab_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Weights> weights_;
  std::unique_ptr<Cache> cache_;
  std::unique_ptr<Program> program_;
  Footprint footprint_;
  std::vector<std::vector<PageId>> tables_;
};

inline std::vector<int> random_tokens(int count, int vocab) {
  std::mt19937 random(7);
  std::vector<int> tokens;
  for (int i = 0; i < count; ++i)
    tokens.push_back(static_cast<int>(random() % static_cast<unsigned>(vocab)));
  return tokens;
}

}  // namespace tyto::test
