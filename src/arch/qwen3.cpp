// Qwen3, the dense models (Yang et al. 2025): an RMSNorm over each head of q and k, and heads whose
// width is their own.
#include "src/arch/plan_builder.h"

namespace tyto::arch {
namespace {

Result<Plan> lower_qwen3(const file::ModelFile& file) {
  PlanBuilder b(file);
  const Dims d = b.dims();
  const float eps = b.number("attention.layer_norm_rms_epsilon", 0, 1);
  const Rope rope = b.rope(d, /*interleaved=*/false);

  b.add(Embed{b.tensor("token_embd.weight", {d.vocab, d.width}), {}});
  for (int i = 0; i < d.layers && b.good(); ++i) {
    b.add(b.qk_normed_attention(i, d, eps, rope));
    b.add(b.gated_mlp(i, d, eps));
  }
  b.add(Head{b.norm("output_norm", d.width, eps), b.output(d)});
  return b.finish(d);
}

}  // namespace

extern const Family qwen3;
const Family qwen3{"qwen3", lower_qwen3};

}  // namespace tyto::arch
