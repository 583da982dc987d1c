// A plan as this backend runs it: every weight's place in the packed block, and every part's
// sizes. A pure function of plan, slice and ISA, so that footprint, pack and compile agree.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <variant>
#include <vector>

#include "cpu/isa_table.h"
#include "src/backend.h"
#include "src/base/hash.h"

namespace tyto::cpu {

inline constexpr std::size_t kAbsent = std::numeric_limits<std::size_t>::max();

// A weight in panels: rows [first_row, first_row + rows) of a tensor; of a mixture of experts as
// many matrices as there are experts, one after the other in tensor and block.
struct Matrix {
  const LinearKernel* kernel = nullptr;
  int tensor = 0, first_row = 0, rows = 0, panels = 0;
  int experts = 1;
  std::size_t k = 0, panel_bytes = 0;
  std::size_t offset = 0;  // in the packed block
  std::size_t bytes() const noexcept { return static_cast<std::size_t>(panels) * panel_bytes; }
  int columns() const noexcept { return panels * kernel->panel_rows; }  // rows, padded
};

// A norm's weight, a bias, rope factors: values [first, first + size) of a tensor, as floats.
struct Vector {
  int tensor = 0, first = 0, size = 0;
  std::size_t offset = 0;
};

struct LinearPart {
  int matrix = -1;             // in Lowered::matrices; -1: absent
  std::size_t bias = kAbsent;  // offset in the packed block
};

struct NormPart {
  std::size_t weight = kAbsent, bias = kAbsent;  // offsets; no weight: the identity
  int width = 0;
  float eps = 0;
  bool center = false;
};

struct RopePart {
  Rope rope;
  std::size_t factors = kAbsent;
};

struct EmbedPart {
  int table = -1, positions = -1;  // in Lowered::matrices
};

struct AttentionPart {
  NormPart norm, q_norm, k_norm;
  LinearPart q, k, v, out;
  int rope = -1;  // in Lowered::ropes; -1: none
  int heads = 0, kv_heads = 0, head_dim = 0;
  int cache = 0, layer = 0;
  float scale = 0;
};

struct MlpPart {
  NormPart norm;
  LinearPart gate, up, down;
  Activation act = Activation::silu;
};

struct MoePart {
  NormPart norm;
  LinearPart router;
  int gate = -1, up = -1, down = -1;  // in Lowered::matrices
  int experts = 0, active = 0;
  Activation act = Activation::silu;
};

struct HeadPart {
  NormPart norm;
  LinearPart logits;
};

using Part = std::variant<EmbedPart, AttentionPart, MlpPart, MoePart, HeadPart>;

struct Lowered {
  int width = 0, vocab = 0, context = 0;
  std::vector<Matrix> matrices;
  std::vector<Vector> vectors;
  std::vector<RopePart> ropes;
  std::vector<Part> parts;  // one per block of the slice
  std::vector<CacheSpec> caches;
  std::size_t weight_bytes = 0;
};

// `unsupported` names the block and the field.
Result<Lowered> lower(const Plan& plan, Slice slice, const IsaTable& table);

// Over everything that decides what lies where in the packed block.
HashValue places_of(const Plan& plan, const Lowered& lowered);

}  // namespace tyto::cpu
