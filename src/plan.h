// What a model is, to a backend: tensors by name and a list of blocks, each half a transformer
// layer. A family (src/arch) is a function from a model file to a Plan; a backend packs and
// compiles it. Fields say all that a block's kernels may fuse, so that nothing has to be
// rediscovered.
#pragma once
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "src/quant/format.h"

namespace tyto {

struct TensorId {
  int index = -1;  // in Plan::tensors; -1: absent
  explicit operator bool() const noexcept { return index >= 0; }
};

struct Linear {                 // y = x * weight^T + bias
  TensorId weight, bias;        // [out, in], [out]
  int first_row = 0, rows = 0;  // rows 0: all; a range picks one of fused q, k, v (of the bias too)
};

struct Norm {  // RMSNorm (Zhang and Sennrich 2019); center: LayerNorm (Ba et al. 2016). Absent
               // without a weight
  TensorId weight, bias;
  float eps = 1e-6f;
  bool center = false;
};

struct Rope {  // rotary positions (Su et al. 2021). theta 0: none
  float theta = 0;
  float scale = 1;           // positions are multiplied by this (linear scaling)
  int dims = 0;              // of each head, from its start; even
  TensorId factors;          // [dims / 2], divide the inverse frequencies (Llama 3.1's scaling)
  bool interleaved = false;  // pairs (2i, 2i+1) instead of (i, i + dims/2)
};

enum class Activation : std::uint8_t { silu, gelu, gelu_tanh };

struct Embed {  // x = table[token] + positions[position]
  TensorId table, positions;
};

struct Attention {            // x += out(attend(rope(qk_norm(qkv(norm(x))))))
  Norm norm, q_norm, k_norm;  // q_norm, k_norm: over each head
  Linear q, k, v, out;
  Rope rope;
  int heads = 0, kv_heads = 0, head_dim = 0;
  int cache = 0;    // index in Plan::caches
  float scale = 0;  // of the scores: usually head_dim^-1/2
};

struct Mlp {  // x += down(act(gate(n)) * up(n)), n = norm(x); without gate: down(act(up(n)))
  Norm norm;
  Linear gate, up, down;
  Activation act = Activation::silu;
};

// x += the sum of weight_e * down_e(act(gate_e(n)) * up_e(n)), n = norm(x), over the `active`
// experts of the highest scores router(n) (Shazeer et al. 2017; Jiang et al. 2024). The weights are
// the softmax of these scores alone. Of equal scores the first expert's counts as higher, and one
// that is no number as the lowest; experts add in ascending order.
struct Moe {
  Norm norm;
  Linear router;  // [experts]
  Linear gate, up,
      down;  // of expert 0, without biases; those of expert e begin e * rows further on
  int experts = 0, active = 0;
  Activation act = Activation::silu;
};

struct Head {  // logits(norm(x))
  Norm norm;
  Linear logits;
};

using Block = std::variant<Embed, Attention, Mlp, Moe, Head>;

std::vector<int> tensors_of(
    const Block& block);  // indices in Plan::tensors, in the order of use, with repetitions

struct Tensor {
  std::string name;
  std::vector<std::int64_t> shape;        // [rows, width] or [width]
  const quant::Format* format = nullptr;  // as in the file
  std::vector<float> computed;            // not empty: the values, for a tensor that no file holds
};

// Layers that share page tables. A page holds kPageTokens tokens of all `layers`, and each
// Attention of the cache is one layer, in block order.
struct CacheSpec {
  int layers = 0, kv_heads = 0, key_dim = 0, value_dim = 0;
};
inline constexpr int kPageTokens = 16;

struct Plan {
  std::string family;
  int width = 0, vocab = 0, context = 0;
  std::vector<Tensor> tensors;
  std::vector<Block> blocks;
  std::vector<CacheSpec> caches;
};

}  // namespace tyto
