// Qwen2 and Qwen2.5 (Yang et al. 2024): Llama's layers with biases on q, k and v, and rotary pairs
// half a head apart.
#include "src/arch/plan_builder.h"

namespace tyto::arch {
namespace {

Result<Plan> lower_qwen2(const file::ModelFile& file) {
  PlanBuilder b(file);
  const Dims d = b.dims();
  const float eps = b.number("attention.layer_norm_rms_epsilon", 0, 1);
  const Rope rope = b.rope(d, /*interleaved=*/false);

  b.add(Embed{b.tensor("token_embd.weight", {d.vocab, d.width}), {}});
  for (int i = 0; i < d.layers && b.good(); ++i) {
    b.add(b.attention(i, d, eps, rope));  // takes the biases that the file holds
    b.add(b.gated_mlp(i, d, eps));
  }
  b.add(Head{b.norm("output_norm", d.width, eps), b.output(d)});
  return b.finish(d);
}

}  // namespace

extern const Family qwen2;
const Family qwen2{"qwen2", lower_qwen2};

}  // namespace tyto::arch
