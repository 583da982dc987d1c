// GPT-2 (Radford et al. 2019): learned positions, LayerNorm, biases everywhere, one fused q-k-v
// projection, and an MLP without a gate.
#include <cmath>

#include "src/arch/plan_builder.h"

namespace tyto::arch {
namespace {

Result<Plan> lower_gpt2(const file::ModelFile& file) {
  PlanBuilder b(file);
  const Dims d = b.dims();
  const float eps = b.number("attention.layer_norm_epsilon", 0, 1);
  const auto layer_norm = [&](std::string_view name) {
    return b.norm(name, d.width, eps, /*center=*/true);
  };
  const int q_width = d.heads * d.head_dim, kv_width = d.kv_heads * d.head_dim;
  const int qkv_width = q_width + 2 * kv_width;

  b.add(Embed{b.tensor("token_embd.weight", {d.vocab, d.width}),
              b.tensor("position_embd.weight", {d.context, d.width})});
  for (int i = 0; i < d.layers && b.good(); ++i) {
    const std::string qkv = layer_name(i, "attn_qkv");
    Attention attention;
    attention.norm = layer_norm(layer_name(i, "attn_norm"));
    attention.q = b.linear_rows(qkv, 0, q_width, qkv_width, d.width);
    attention.k = b.linear_rows(qkv, q_width, kv_width, qkv_width, d.width);
    attention.v = b.linear_rows(qkv, q_width + kv_width, kv_width, qkv_width, d.width);
    attention.out = b.linear(layer_name(i, "attn_output"), d.width, q_width);
    attention.heads = d.heads;
    attention.kv_heads = d.kv_heads;
    attention.head_dim = d.head_dim;
    attention.scale = 1.0f / std::sqrt(static_cast<float>(d.head_dim));
    b.add(attention);

    Mlp mlp;
    mlp.norm = layer_norm(layer_name(i, "ffn_norm"));
    mlp.up = b.linear(layer_name(i, "ffn_up"), d.ff, d.width);
    mlp.down = b.linear(layer_name(i, "ffn_down"), d.width, d.ff);
    mlp.act = Activation::gelu_tanh;
    b.add(mlp);
  }
  b.add(Head{layer_norm("output_norm"), b.output(d)});
  return b.finish(d);
}

}  // namespace

extern const Family gpt2;
const Family gpt2{"gpt2", lower_gpt2};

}  // namespace tyto::arch
