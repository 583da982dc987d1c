// Llama 1, 2 and 3.x, and what shares their shape: Mistral, TinyLlama, Vicuna (Touvron et al. 2023;
// Dubey et al. 2024), and Mixtral with experts for MLPs (Jiang et al. 2024). GGUF stores q and k
// with their rows permuted, so that rotary pairs are neighbors.
#include "src/arch/plan_builder.h"

namespace tyto::arch {
namespace {

Result<Plan> lower_llama(const file::ModelFile& file) {
  PlanBuilder b(file);
  const Dims d = b.dims_with_experts(0);
  const float eps = b.number("attention.layer_norm_rms_epsilon", 0, 1);
  const Rope rope = b.rope(d, /*interleaved=*/true);

  b.add(Embed{b.tensor("token_embd.weight", {d.vocab, d.width}), {}});
  for (int i = 0; i < d.layers && b.good(); ++i) {
    b.add(b.attention(i, d, eps, rope));
    if (d.experts > 0)
      b.add(b.gated_moe(i, d, eps));
    else
      b.add(b.gated_mlp(i, d, eps));
  }
  b.add(Head{b.norm("output_norm", d.width, eps), b.output(d)});
  return b.finish(d);
}

}  // namespace

extern const Family llama;
const Family llama{"llama", lower_llama};

}  // namespace tyto::arch
