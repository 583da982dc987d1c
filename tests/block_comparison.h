// What every backend's blocks are tested with against the reference backend: shapes that differ in
// one field each, steps of several sequences, and two measures of how far results are apart.
#pragma once
#include <algorithm>
#include <functional>

#include "cpu/ref_backend.h"
#include "tests/catch.h"
#include "tests/random_plan.h"

namespace tyto::test {

// The largest difference, as a part of the largest value.
inline float difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  float largest = 0, worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(a[i]));
    const float d = std::abs(a[i] - b[i]);
    if (!(d <= worst)) worst = d;  // a NaN too
  }
  return worst / largest;
}

// Mean squared difference, as a part of the mean square.
inline float square_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double squares = 0, differences = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    squares += static_cast<double>(a[i]) * a[i];
    differences += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  }
  return static_cast<float>(differences / squares);
}

using Measure = float (*)(const std::vector<float>&, const std::vector<float>&);
using MakeBackend = std::function<std::unique_ptr<Backend>()>;

inline constexpr Capacity kComparedCapacity{.rows = 96, .sequences = 4, .outputs = 96};

// A prompt of two sequences, then single rows of both and a chunk of a third, and so on.
using Steps = std::vector<std::vector<Rig::Chunk>>;
inline const Steps kSteps = {{{0, 0, 37}, {1, 0, 21}},
                             {{0, 37, 1}, {1, 21, 1}, {2, 0, 50}},
                             {{0, 38, 90}},
                             {{0, 128, 1}, {2, 50, 2}}};
inline const Steps kShortSteps = {{{0, 0, 5}, {1, 0, 3}},
                                  {{0, 5, 1}, {1, 3, 1}, {2, 0, 4}},
                                  {{0, 6, 9}},
                                  {{0, 15, 1}, {2, 4, 2}},
                                  {{0, 16, 1}},
                                  {{0, 17, 2}},
                                  {{1, 4, 1}, {0, 19, 1}}};

inline constexpr Capacity kShortCapacity{.rows = 12, .sequences = 4, .outputs = 12};

inline float compare(const MakeBackend& make, const PlanShape& shape, CacheType type,
                     Measure measure = difference, const Steps& steps = kSteps,
                     const Capacity& capacity = kComparedCapacity) {
  const auto model = PlanMaker::make(shape);
  Rig reference(cpu::new_reference_backend(runtime_of(1)).value(), *model, type, capacity);
  Rig tested(make(), *model, type, capacity);
  int length = 0;
  for (const auto& chunks : steps)
    for (const Rig::Chunk& chunk : chunks) length = std::max(length, chunk.first + chunk.count);
  const auto tokens = random_tokens(length, shape.vocab);
  float worst = 0;
  for (const auto& chunks : steps) {
    const auto expected = reference.run(tokens, chunks);
    const float d = measure(expected, tested.run(tokens, chunks));
    if (!(d <= worst)) worst = d;
  }
  return worst;
}

// What the experts of a random model add to random rows, in steps of so many. Rows are the same for
// both backends: in a whole model, rounding before a block may change which experts a row chooses.
inline float compare_experts(const MakeBackend& make, const PlanShape& shape,
                             std::initializer_list<int> steps) {
  constexpr Slice kMoe{2, 3};
  const auto model = PlanMaker::make(shape);
  Rig reference(cpu::new_reference_backend(runtime_of(1)).value(), *model, CacheType::f32,
                kComparedCapacity, kMoe);
  Rig tested(make(), *model, CacheType::f32, kComparedCapacity, kMoe);
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  float worst = 0;
  for (const int rows : steps) {
    std::vector<float> hidden(static_cast<std::size_t>(rows * shape.width));
    for (float& x : hidden) x = normal(random);
    const auto added = [&](Rig& rig) {
      rig.hidden = hidden;
      auto out = rig.run(std::vector<int>(static_cast<std::size_t>(rows), -1), {{0, 0, rows}},
                         Want::hidden);
      for (std::size_t i = 0; i < out.size(); ++i) out[i] -= hidden[i];
      return out;
    };
    const float d = square_difference(added(reference), added(tested));
    if (!(d <= worst)) worst = d;
  }
  return worst;
}

struct Field {
  const char* name;
  void (*set)(PlanShape&);
};
inline const Field kFields[] = {
    {"as it is", [](PlanShape&) {}},
    {"interleaved rope", [](PlanShape& s) { s.rope.interleaved = true; }},
    {"rope of half a head", [](PlanShape& s) { s.rope.dims = 8; }},
    {"interleaved rope of a part of a head",
     [](PlanShape& s) { s.rope.dims = 6, s.rope.interleaved = true; }},
    {"rope factors", [](PlanShape& s) { s.rope_factors = true; }},
    {"scaled rope", [](PlanShape& s) { s.rope.scale = 0.25f; }},
    {"learned positions", [](PlanShape& s) { s.rope.theta = 0, s.positions = true; }},
    {"biases", [](PlanShape& s) { s.biases = true; }},
    {"LayerNorm", [](PlanShape& s) { s.center = s.biases = true; }},
    {"norms over heads", [](PlanShape& s) { s.head_norms = true; }},
    {"one key-value head", [](PlanShape& s) { s.kv_heads = 1; }},
    {"fused q, k and v", [](PlanShape& s) { s.kv_heads = 4, s.fused_qkv = s.biases = true; }},
    {"gelu_tanh without a gate",
     [](PlanShape& s) { s.gated = false, s.act = Activation::gelu_tanh; }},
    {"gelu in the gate", [](PlanShape& s) { s.act = Activation::gelu; }},
    {"gelu without a gate",
     [](PlanShape& s) { s.gated = false, s.act = Activation::gelu, s.biases = true; }},
    {"experts", [](PlanShape& s) { s.experts = 6, s.active = 2; }},
    {"as many experts as there are", [](PlanShape& s) { s.experts = s.active = 3; }},
    {"one of many experts",
     [](PlanShape& s) { s.experts = 40, s.active = 1, s.act = Activation::gelu; }},
    {"experts behind LayerNorm, a router with biases",
     [](PlanShape& s) { s.experts = 5, s.active = 3, s.center = s.biases = true; }},
    {"experts beside MLPs",
     [](PlanShape& s) { s.layers = 3, s.experts = 4, s.active = 2, s.mixed = true; }},
    {"tied table", [](PlanShape& s) { s.tied = true; }},
};

// Widths, heads and vocabularies that are multiples of nothing.
inline constexpr int kOddShapes = 5;
inline PlanShape odd_shape(int which) {
  PlanShape shape;
  shape.layers = 1;
  switch (which) {
    case 0:
      shape.width = 37;
      shape.ff = 51;
      shape.vocab = 33;
      break;
    case 1:
      shape.heads = shape.kv_heads = 7;
      shape.head_dim = 6;
      shape.rope.dims = 6;
      break;
    case 2:
      shape.heads = 14;
      shape.kv_heads = 2;
      shape.head_dim = 20;
      shape.rope.dims = 20;
      break;
    case 3:
      shape.heads = 6;
      shape.kv_heads = 3;
      shape.head_dim = 80;
      shape.rope.dims = 32;
      break;
    case 4:
      shape.width = 37;
      shape.ff = 21;
      shape.experts = 7;
      shape.active = 3;
      break;
  }
  return shape;
}

// A layer with experts, all of whose matrices but the router have a format.
inline PlanShape experts_of_format(const char* format) {
  PlanShape shape;
  shape.layers = 1;
  shape.width = 512;
  shape.ff = 256;
  shape.experts = 7;
  shape.active = 2;
  shape.format = format;
  return shape;
}

// One layer all of whose matrices have a format.
inline PlanShape shape_of_format(const char* format) {
  PlanShape shape;
  shape.layers = 1;
  shape.width = shape.ff = 256;
  shape.heads = 4;
  shape.head_dim = 64;
  shape.rope.dims = 64;
  shape.format = format;
  return shape;
}

}  // namespace tyto::test
