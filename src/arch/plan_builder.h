// Turns a model file into a Plan, checking as it goes. The first thing wrong is kept and everything
// after it is harmless, so that a family reads like its paper; finish() answers with the error or
// the plan. Every number it hands out is within the bounds asked for, also after an error.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "src/arch/arch.h"
#include "src/plan.h"

namespace tyto::arch {

// What nearly all families have in common.
struct Dims {
  int width = 1, layers = 1, heads = 1, kv_heads = 1, head_dim = 1, ff = 1, vocab = 1, context = 1;
  int experts = 0, active = 0, expert_ff = 0;  // of mixtures of experts; 0: none
};

class PlanBuilder {
 public:
  explicit PlanBuilder(const file::ModelFile& file);

  // Hyperparameters, by key without the family's prefix ("attention.head_count" for
  // "llama.attention.head_count").
  int count(std::string_view key, int min, int max);
  int count_or(std::string_view key, int otherwise, int min, int max);
  float number(std::string_view key, double min, double max);
  float number_or(std::string_view key, double otherwise, double min, double max);
  Dims dims();                        // `unsupported` for a mixture of experts
  Dims dims_with_experts(int least);  // at least so many; 0: a family that may have none
  Rope rope(const Dims& dims, bool interleaved);

  // Tensors by name, with the shape they must have. linear and norm take "<name>.weight" and, if it
  // is there,
  // "<name>.bias"; a range of rows picks a part of a fused projection of `total` rows.
  TensorId tensor(std::string_view name, std::initializer_list<std::int64_t> shape);
  TensorId optional_tensor(std::string_view name, std::initializer_list<std::int64_t> shape);
  Linear linear(std::string_view name, int out, int in);
  Linear linear_rows(std::string_view name, int first, int rows, int total, int in);
  Norm norm(std::string_view name, int width, float eps, bool center = false);
  // Of a mixture of experts, as Moe has it: "<name>.weight" [count, out, in], in the plan
  // [count * out, in]. A bias is `unsupported`.
  Linear experts(std::string_view name, int count, int out, int in);
  Linear output(const Dims& dims);  // "output", or the token table where the two are tied

  // Half layers as most families have them, from the field's usual tensor names.
  Attention attention(int layer, const Dims& dims, float eps,
                      const Rope& rope);  // separate q, k, v; RMSNorm
  // That with an RMSNorm over each head of q and k.
  Attention qk_normed_attention(int layer, const Dims& dims, float eps, const Rope& rope);
  Mlp gated_mlp(int layer, const Dims& dims, float eps);  // SwiGLU (Shazeer 2020)
  Moe gated_moe(int layer, const Dims& dims, float eps);  // experts of that

  void add(Block block);
  bool good() const noexcept { return error_.code() == ErrorCode::ok; }
  void reject(Error error);  // keeps the first
  Result<Plan> finish(const Dims& dims);

 private:
  std::string full_key(std::string_view key) const;
  void check_range(std::string_view key, double value, double min, double max);
  void read_experts(int least, Dims& dims);

  const file::ModelFile& file_;
  std::string_view family_;
  Plan plan_;
  Error error_;
};

// "blk.3.attn_q"
std::string layer_name(int layer, std::string_view part);

}  // namespace tyto::arch
