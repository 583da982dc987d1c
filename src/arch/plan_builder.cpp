#include "src/arch/plan_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "src/base/error.h"
#include "src/file/quoted.h"

namespace tyto::arch {
namespace {

constexpr int kMaxWidth = 1 << 20;
constexpr int kMaxContext = 1 << 24;
constexpr int kMaxFeedForward = 1 << 22;
constexpr int kMaxExperts = 1 << 10;
constexpr std::int64_t kMostRows = std::int64_t{1} << 30;

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace

std::string layer_name(int layer, std::string_view part) {
  return fmt::format("blk.{}.{}", layer, part);
}

PlanBuilder::PlanBuilder(const file::ModelFile& file) : file_(file) {
  const auto family = file.metadata().text("general.architecture");
  if (family) {
    family_ = *family;
    plan_.family = *family;
  } else {
    reject(family.error());
  }
}

void PlanBuilder::reject(Error error) {
  if (error_.code() == ErrorCode::ok) error_ = std::move(error);
}

std::string PlanBuilder::full_key(std::string_view key) const {
  return fmt::format("{}.{}", family_, key);
}

void PlanBuilder::check_range(std::string_view key, double value, double min, double max) {
  if (value >= min && value <= max) return;
  reject(fail(ErrorCode::bad_file, "{}: key {}.{} is {}, expected {} to {}", file_.name(), family_,
              key, value, min, max));
}

int PlanBuilder::count(std::string_view key, int min, int max) {
  const auto value = file_.metadata().integer(full_key(key));
  if (!value) return reject(value.error()), min;
  check_range(key, static_cast<double>(*value), min, max);
  return static_cast<int>(std::clamp<std::uint64_t>(*value, min, max));
}

int PlanBuilder::count_or(std::string_view key, int otherwise, int min, int max) {
  return file_.metadata().has(full_key(key)) ? count(key, min, max)
                                             : std::clamp(otherwise, min, max);
}

float PlanBuilder::number(std::string_view key, double min, double max) {
  const auto value = file_.metadata().number(full_key(key));
  if (!value) return reject(value.error()), static_cast<float>(min);
  check_range(key, *value, min, max);
  return static_cast<float>(std::clamp(*value, min, max));
}

float PlanBuilder::number_or(std::string_view key, double otherwise, double min, double max) {
  return file_.metadata().has(full_key(key)) ? number(key, min, max)
                                             : static_cast<float>(otherwise);
}

Dims PlanBuilder::dims() {
  if (const int experts = count_or("expert_count", 0, 0, kMaxExperts); experts > 0)
    reject(fail(ErrorCode::unsupported,
                "{}: a mixture of experts ({}.expert_count is {}) is not supported in this family",
                file_.name(), family_, experts));
  return dims_with_experts(0);
}

Dims PlanBuilder::dims_with_experts(int least) {
  Dims d;
  d.width = count("embedding_length", 1, kMaxWidth);
  d.layers = count("block_count", 1, 4096);
  d.heads = count("attention.head_count", 1, 4096);
  d.kv_heads = count_or("attention.head_count_kv", d.heads, 1, d.heads);
  d.ff = count("feed_forward_length", 1, kMaxFeedForward);
  d.context = count("context_length", 1, kMaxContext);
  if (d.heads % d.kv_heads != 0)
    reject(fail(ErrorCode::bad_file, "{}: {} attention heads are no multiple of {} key-value heads",
                file_.name(), d.heads, d.kv_heads));
  if (!file_.metadata().has(full_key("attention.key_length")) && d.width % d.heads != 0)
    reject(fail(ErrorCode::bad_file, "{}: embedding length {} is no multiple of {} attention heads",
                file_.name(), d.width, d.heads));
  d.head_dim = count_or("attention.key_length", d.width / d.heads, 1, 1 << 14);
  if (count_or("attention.value_length", d.head_dim, 1, 1 << 14) != d.head_dim)
    reject(fail(ErrorCode::unsupported, "{}: values of another width than keys ({})", file_.name(),
                d.head_dim));
  read_experts(least, d);

  // The vocabulary says how many rows the token table must have; a file without one is taken at the
  // table's word.
  if (const auto tokens = file_.metadata().texts("tokenizer.ggml.tokens"); tokens) {
    d.vocab = static_cast<int>(std::clamp<std::size_t>(tokens->size(), 1, 1 << 24));
  } else if (file_.metadata().has("tokenizer.ggml.tokens")) {
    reject(tokens.error());
  } else if (const auto* table = file_.find("token_embd.weight"); table && !table->shape.empty()) {
    d.vocab = static_cast<int>(std::clamp<std::int64_t>(table->shape[0], 1, 1 << 24));
  }
  return d;
}

// Scores by softmax, weights that sum to 1, and nothing besides the experts.
void PlanBuilder::read_experts(int least, Dims& d) {
  d.experts = least > 0 ? count("expert_count", least, kMaxExperts)
                        : count_or("expert_count", 0, 0, kMaxExperts);
  if (d.experts == 0) return;
  d.active = count("expert_used_count", 1, d.experts);
  d.expert_ff = count_or("expert_feed_forward_length", d.ff, 1, kMaxFeedForward);
  constexpr int kSoftmax = 1;
  if (const int by = count_or("expert_gating_func", kSoftmax, 0, 1 << 16); by != kSoftmax)
    reject(fail(ErrorCode::unsupported,
                "{}: key {}.expert_gating_func is {}, and only 1 (softmax) is supported",
                file_.name(), family_, by));
  const struct {
    std::string_view key;
    int most;
  } absent[] = {{"expert_shared_count", 0},
                {"expert_shared_feed_forward_length", 0},
                {"expert_group_count", 1}};
  for (const auto& [key, most] : absent)
    if (const int value = count_or(key, 0, 0, kMaxFeedForward); value > most)
      reject(fail(ErrorCode::unsupported, "{}: key {}.{} is {}, and at most {} is supported",
                  file_.name(), family_, key, value, most));
  if (const float scale = number_or("expert_weights_scale", 1, -1e6, 1e6); scale != 0 && scale != 1)
    reject(fail(ErrorCode::unsupported,
                "{}: key {}.expert_weights_scale is {}, and only 1 is supported", file_.name(),
                family_, scale));
  const auto sum_to_one = file_.metadata().flag_or(full_key("expert_weights_norm"), true);
  if (!sum_to_one) return reject(sum_to_one.error());
  if (!*sum_to_one)
    reject(fail(ErrorCode::unsupported,
                "{}: key {}.expert_weights_norm is false, and only true is supported", file_.name(),
                family_));
}

Rope PlanBuilder::rope(const Dims& d, bool interleaved) {
  Rope rope;
  rope.interleaved = interleaved;
  rope.theta = number_or("rope.freq_base", 10000, 1e-3, 1e12);
  rope.dims = count_or("rope.dimension_count", d.head_dim, 1, d.head_dim);
  if (rope.dims % 2 != 0)
    reject(fail(ErrorCode::bad_file,
                "{}: key {}.rope.dimension_count is {}, expected an even number", file_.name(),
                family_, rope.dims));
  const auto type = file_.metadata().text_or(full_key("rope.scaling.type"), "none");
  if (!type) return reject(type.error()), rope;
  if (*type == "linear") {
    rope.scale = 1.0f / number("rope.scaling.factor", 1e-6, 1e6);
  } else if (*type != "none") {
    reject(fail(ErrorCode::unsupported, "{}: rope scaling {}; linear and Llama 3's are supported",
                file_.name(), file::quoted(*type)));
  }
  rope.factors = optional_tensor("rope_freqs.weight", {rope.dims / 2});
  return rope;
}

TensorId PlanBuilder::tensor(std::string_view name, std::initializer_list<std::int64_t> shape) {
  const TensorId id = optional_tensor(name, shape);
  if (!id) reject(fail(ErrorCode::bad_file, "{}: tensor {} is missing", file_.name(), name));
  return id;
}

TensorId PlanBuilder::optional_tensor(std::string_view name,
                                      std::initializer_list<std::int64_t> shape) {
  const file::TensorInfo* info = file_.find(name);
  if (!info) return {};
  for (std::size_t i = 0; i < plan_.tensors.size(); ++i)
    if (plan_.tensors[i].name == name) return {static_cast<int>(i)};
  const std::vector<std::int64_t> expected(shape);
  if (info->shape != expected) {
    reject(fail(ErrorCode::bad_file, "{}: tensor {} has shape {}, expected {}", file_.name(), name,
                shape_text(info->shape), shape_text(expected)));
  } else if (!info->format) {
    reject(fail(ErrorCode::unsupported, "{}: tensor {} is stored as {}, which is not supported",
                file_.name(), name, info->type_name));
  }
  plan_.tensors.push_back({std::string(name), expected, info->format, {}});
  return {static_cast<int>(plan_.tensors.size()) - 1};
}

Linear PlanBuilder::linear(std::string_view name, int out, int in) {
  return linear_rows(name, 0, out, out, in);
}

Linear PlanBuilder::linear_rows(std::string_view name, int first, int rows, int total, int in) {
  Linear linear;
  linear.weight = tensor(fmt::format("{}.weight", name), {total, in});
  linear.bias = optional_tensor(fmt::format("{}.bias", name), {total});
  linear.first_row = first;
  linear.rows = rows;
  return linear;
}

Norm PlanBuilder::norm(std::string_view name, int width, float eps, bool center) {
  return {tensor(fmt::format("{}.weight", name), {width}),
          optional_tensor(fmt::format("{}.bias", name), {width}), eps, center};
}

Linear PlanBuilder::experts(std::string_view name, int count, int out, int in) {
  Linear linear;
  linear.weight = tensor(fmt::format("{}.weight", name), {count, out, in});
  linear.rows = out;
  if (const std::string bias = fmt::format("{}.bias", name); file_.find(bias))
    reject(fail(ErrorCode::unsupported, "{}: tensor {}: experts with biases are not supported",
                file_.name(), bias));
  if (!linear.weight) return linear;
  const std::int64_t rows = std::int64_t{count} * out;
  if (rows > kMostRows)
    reject(fail(ErrorCode::unsupported, "{}: tensor {}.weight has {} rows, at most {} are served",
                file_.name(), name, rows, kMostRows));
  plan_.tensors[static_cast<std::size_t>(linear.weight.index)].shape = {rows, in};
  return linear;
}

Linear PlanBuilder::output(const Dims& d) {
  return linear(file_.find("output.weight") ? "output" : "token_embd", d.vocab, d.width);
}

Attention PlanBuilder::attention(int layer, const Dims& d, float eps, const Rope& rope) {
  const int q_width = d.heads * d.head_dim, kv_width = d.kv_heads * d.head_dim;
  Attention a;
  a.norm = norm(layer_name(layer, "attn_norm"), d.width, eps);
  a.q = linear(layer_name(layer, "attn_q"), q_width, d.width);
  a.k = linear(layer_name(layer, "attn_k"), kv_width, d.width);
  a.v = linear(layer_name(layer, "attn_v"), kv_width, d.width);
  a.out = linear(layer_name(layer, "attn_output"), d.width, q_width);
  a.rope = rope;
  a.heads = d.heads;
  a.kv_heads = d.kv_heads;
  a.head_dim = d.head_dim;
  a.scale = 1.0f / std::sqrt(static_cast<float>(d.head_dim));
  return a;
}

Attention PlanBuilder::qk_normed_attention(int layer, const Dims& d, float eps, const Rope& rope) {
  Attention a = attention(layer, d, eps, rope);
  a.q_norm = norm(layer_name(layer, "attn_q_norm"), d.head_dim, eps);
  a.k_norm = norm(layer_name(layer, "attn_k_norm"), d.head_dim, eps);
  return a;
}

Mlp PlanBuilder::gated_mlp(int layer, const Dims& d, float eps) {
  Mlp mlp;
  mlp.norm = norm(layer_name(layer, "ffn_norm"), d.width, eps);
  mlp.gate = linear(layer_name(layer, "ffn_gate"), d.ff, d.width);
  mlp.up = linear(layer_name(layer, "ffn_up"), d.ff, d.width);
  mlp.down = linear(layer_name(layer, "ffn_down"), d.width, d.ff);
  mlp.act = Activation::silu;
  return mlp;
}

Moe PlanBuilder::gated_moe(int layer, const Dims& d, float eps) {
  Moe moe;
  moe.norm = norm(layer_name(layer, "ffn_norm"), d.width, eps);
  moe.router = linear(layer_name(layer, "ffn_gate_inp"), d.experts, d.width);
  moe.gate = experts(layer_name(layer, "ffn_gate_exps"), d.experts, d.expert_ff, d.width);
  moe.up = experts(layer_name(layer, "ffn_up_exps"), d.experts, d.expert_ff, d.width);
  moe.down = experts(layer_name(layer, "ffn_down_exps"), d.experts, d.width, d.expert_ff);
  moe.experts = d.experts;
  moe.active = d.active;
  moe.act = Activation::silu;
  return moe;
}

void PlanBuilder::add(Block block) { plan_.blocks.push_back(std::move(block)); }

Result<Plan> PlanBuilder::finish(const Dims& d) {
  if (error_.code() != ErrorCode::ok) return error_;
  plan_.width = d.width;
  plan_.vocab = d.vocab;
  plan_.context = d.context;
  plan_.caches = {{d.layers, d.kv_heads, d.head_dim, d.head_dim}};
  return std::move(plan_);
}

}  // namespace tyto::arch
