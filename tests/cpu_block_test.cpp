// The CPU backend against the reference backend, block by block and field by field.
#include <algorithm>

#include "cpu/cpu_backend.h"
#include "cpu/isa_table.h"
#include "cpu/ref_backend.h"
#include "tests/catch.h"
#include "tests/random_plan.h"
#include "tests/tiny_model.h"

using namespace tyto;
using namespace tyto::test;

namespace {

constexpr Capacity kCapacity{.rows = 96, .sequences = 4, .outputs = 96};

std::unique_ptr<Backend> cpu_backend(int threads = 2) {
  return cpu::new_cpu_backend(runtime_of(threads), isa_under_test()).value();
}

// The largest difference, as a part of the largest value.
float difference(const std::vector<float>& a, const std::vector<float>& b) {
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
float square_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double squares = 0, differences = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    squares += static_cast<double>(a[i]) * a[i];
    differences += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  }
  return static_cast<float>(differences / squares);
}

using Measure = float (*)(const std::vector<float>&, const std::vector<float>&);

// A prompt of two sequences, then single rows of both and a chunk of a third.
float compare(const PlanShape& shape, CacheType type, Measure measure = difference) {
  const auto model = PlanMaker::make(shape);
  Rig reference(cpu::new_reference_backend(runtime_of(1)).value(), *model, type, kCapacity);
  Rig fast(cpu_backend(), *model, type, kCapacity);
  const auto tokens = random_tokens(200, shape.vocab);
  float worst = 0;
  for (const auto& chunks :
       std::vector<std::vector<Rig::Chunk>>{{{0, 0, 37}, {1, 0, 21}},
                                            {{0, 37, 1}, {1, 21, 1}, {2, 0, 50}},
                                            {{0, 38, 90}},
                                            {{0, 128, 1}, {2, 50, 2}}}) {
    const auto expected = reference.run(tokens, chunks);
    const float d = measure(expected, fast.run(tokens, chunks));
    if (!(d <= worst)) worst = d;
  }
  return worst;
}

}  // namespace

TEST_CASE("Blocks agree with the reference backend, field by field", "[cpu][block]") {
  struct Field {
    const char* name;
    void (*set)(PlanShape&);
  };
  const Field fields[] = {
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
      {"tied table", [](PlanShape& s) { s.tied = true; }},
  };
  for (const Field& field : fields) {
    CAPTURE(field.name);
    PlanShape shape;
    field.set(shape);
    CHECK(compare(shape, CacheType::f32) < 2e-5f);
  }
}

TEST_CASE("Odd widths agree with the reference backend", "[cpu][block]") {
  const auto odd = GENERATE(range(0, 4));
  PlanShape shape;
  shape.layers = 1;
  switch (odd) {
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
  }
  CAPTURE(odd);
  CHECK(compare(shape, CacheType::f32) < 2e-5f);
}

TEST_CASE("Every cache type agrees with the reference backend", "[cpu][block]") {
  PlanShape shape;
  shape.heads = 8;
  shape.head_dim = 16;
  shape.rope.dims = 16;
  // A value on the border between two numbers of the cache type may fall to either side.
  CHECK(compare(shape, CacheType::f32) < 2e-5f);
  CHECK(compare(shape, CacheType::f16) < 2e-3f);
  CHECK(compare(shape, CacheType::bf16) < 2e-2f);
  for (const int head_dim : {16, 40, 64}) {
    shape.head_dim = shape.rope.dims = head_dim;
    CHECK(compare(shape, CacheType::q8_0, square_difference) < 1e-4f);
    CHECK(compare(shape, CacheType::q4_0, square_difference) < 1e-3f);
  }
}

TEST_CASE("Attention to a BF16 cache agrees with the reference backend, whatever the shape",
          "[cpu][block]") {
  struct {
    int heads, kv_heads, head_dim;
  } const shapes[] = {{2, 2, 64}, {4, 2, 96}, {3, 1, 80},  {7, 1, 64}, {8, 1, 128},
                      {3, 3, 7},  {6, 2, 33}, {20, 1, 20}, {40, 1, 18}};
  for (const auto& s : shapes) {
    PlanShape shape;
    shape.layers = 1;
    shape.heads = s.heads;
    shape.kv_heads = s.kv_heads;
    shape.head_dim = s.head_dim;
    shape.rope.dims = s.head_dim / 2 * 2;
    CAPTURE(s.heads, s.kv_heads, s.head_dim);
    // Tiles round query vectors and weights to 8 bits.
    CHECK(compare(shape, CacheType::bf16, square_difference) < 1e-5f);
  }
}

TEST_CASE("Every weight format agrees with the reference backend", "[cpu][block]") {
  for (const quant::Format* format : quant::formats()) {
    PlanShape shape;
    shape.layers = 1;
    shape.width = shape.ff = 256;
    shape.heads = 4;
    shape.head_dim = 64;
    shape.rope.dims = 64;
    const std::string name(format->name);
    shape.format = name.c_str();
    CAPTURE(name);
    if (name == "f32" || name == "f16")
      CHECK(compare(shape, CacheType::f32) < 2e-5f);
    else  // activations are rounded to 8 bits
      CHECK(compare(shape, CacheType::f32, square_difference) < 3e-3f);
  }
}

TEST_CASE("Projections of different formats share a block", "[cpu][block]") {
  PlanShape shape;
  shape.width = shape.ff = 256;
  shape.head_dim = 64;
  shape.rope.dims = 64;
  shape.format = "q8_0";
  shape.value_format = "q6_k";
  CHECK(compare(shape, CacheType::f32, square_difference) < 3e-3f);
}

TEST_CASE("Positions up to a million turn as they should", "[cpu][block]") {
  PlanShape shape;
  shape.layers = 1;
  const auto model = PlanMaker::make(shape);
  Rig reference(cpu::new_reference_backend(runtime_of(1)).value(), *model, CacheType::f32,
                kCapacity);
  Rig fast(cpu_backend(), *model, CacheType::f32, kCapacity);
  for (const int position : {0, 1, 1000, 65535, 1 << 20}) {
    const auto run = [&](Rig& rig) {
      std::vector<float> out(static_cast<std::size_t>(2 * shape.vocab));
      const std::span<const PageId> table = rig.table(0);
      const Sequence sequence{{&table, 1}};
      const Row rows[] = {{3, 0, 0, 0, 1, position}, {5, 0, 1, 0, 2, position + 7}};
      const Output outputs[] = {
          {0, Want::logits, std::span(out).first(static_cast<std::size_t>(shape.vocab))},
          {1, Want::logits, std::span(out).last(static_cast<std::size_t>(shape.vocab))}};
      rig.program().start({rows, {&sequence, 1}, {}}, outputs).value();
      rig.program().work(Clock::time_point::max()).value();
      rig.program().finish().value();
      return out;
    };
    CAPTURE(position);
    CHECK(difference(run(reference), run(fast)) < 2e-5f);
  }
}

TEST_CASE("Keys outside a row's window are not seen", "[cpu][block]") {
  const CacheType type = GENERATE(CacheType::f32, CacheType::bf16);
  const int window = GENERATE(1, 70, 300);
  PlanShape shape;
  shape.layers = 1;
  const auto model = PlanMaker::make(shape);
  const auto tokens = random_tokens(700, shape.vocab);
  constexpr Capacity kWide{.rows = 700, .sequences = 4, .outputs = 700};
  const auto run = [&](std::unique_ptr<Backend> backend) {
    Rig rig(std::move(backend), *model, type, kWide);
    std::vector<Row> rows;
    std::vector<float> out(tokens.size() * static_cast<std::size_t>(shape.vocab));
    std::vector<Output> outputs;
    for (int i = 0; i < static_cast<int>(tokens.size()); ++i) {
      rows.push_back(
          {tokens[static_cast<std::size_t>(i)], 0, i, std::max(0, i + 1 - window), i + 1, i});
      outputs.push_back({i, Want::logits,
                         std::span(out).subspan(static_cast<std::size_t>(i * shape.vocab),
                                                static_cast<std::size_t>(shape.vocab))});
    }
    const std::span<const PageId> table = rig.table(1);
    const Sequence sequence{{&table, 1}};
    rig.program().start({rows, {&sequence, 1}, {}}, outputs).value();
    rig.program().work(Clock::time_point::max()).value();
    rig.program().finish().value();
    return out;
  };
  const auto expected = run(cpu::new_reference_backend(runtime_of(1)).value()),
             got = run(cpu_backend());
  if (type == CacheType::f32)
    CHECK(difference(expected, got) < 2e-5f);
  else
    CHECK(square_difference(expected, got) < 1e-5f);
}
