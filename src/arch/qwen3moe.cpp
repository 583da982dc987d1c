// Qwen3's mixtures of experts (Yang et al. 2025): the dense models' attention, and experts in every
// layer.
#include "src/arch/plan_builder.h"

namespace tyto::arch {
namespace {

Result<Plan> lower_qwen3moe(const file::ModelFile& file) {
  PlanBuilder b(file);
  const Dims d = b.dims_with_experts(1);
  const float eps = b.number("attention.layer_norm_rms_epsilon", 0, 1);
  const Rope rope = b.rope(d, /*interleaved=*/false);

  b.add(Embed{b.tensor("token_embd.weight", {d.vocab, d.width}), {}});
  for (int i = 0; i < d.layers && b.good(); ++i) {
    b.add(b.qk_normed_attention(i, d, eps, rope));
    b.add(b.gated_moe(i, d, eps));
  }
  b.add(Head{b.norm("output_norm", d.width, eps), b.output(d)});
  return b.finish(d);
}

}  // namespace

extern const Family qwen3moe;
const Family qwen3moe{"qwen3moe", lower_qwen3moe};

}  // namespace tyto::arch
