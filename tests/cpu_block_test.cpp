// The CPU backend against the reference backend, block by block and field by field.
#include <algorithm>

#include "cpu/cpu_backend.h"
#include "cpu/isa_table.h"
#include "tests/block_comparison.h"
#include "tests/tiny_model.h"

using namespace tyto;
using namespace tyto::test;

namespace {

std::unique_ptr<Backend> cpu_backend(int threads = 2) {
  return cpu::new_cpu_backend(runtime_of(threads), isa_under_test()).value();
}

// Against the reference backend.
float compare(const PlanShape& shape, CacheType type, Measure measure = difference) {
  return test::compare([] { return cpu_backend(); }, shape, type, measure);
}

}  // namespace

TEST_CASE("Blocks agree with the reference backend, field by field", "[cpu][block]") {
  for (const Field& field : kFields) {
    CAPTURE(field.name);
    PlanShape shape;
    field.set(shape);
    CHECK(compare(shape, CacheType::f32) < 2e-5f);
  }
}

TEST_CASE("Odd widths agree with the reference backend", "[cpu][block]") {
  const auto odd = GENERATE(range(0, kOddShapes));
  CAPTURE(odd);
  CHECK(compare(odd_shape(odd), CacheType::f32) < 2e-5f);
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
    const std::string name(format->name);
    const PlanShape shape = shape_of_format(name.c_str());
    CAPTURE(name);
    if (name == "f32" || name == "f16")
      CHECK(compare(shape, CacheType::f32) < 2e-5f);
    else  // activations are rounded to 8 bits
      CHECK(compare(shape, CacheType::f32, square_difference) < 3e-3f);
  }
}

TEST_CASE("Experts of every weight format agree with the reference backend", "[cpu][block]") {
  for (const quant::Format* format : quant::formats()) {
    const std::string name(format->name);
    CAPTURE(name);
    const bool exact = name == "f32" || name == "f16";
    const auto make = [] { return cpu_backend(); };
    CHECK(compare_experts(make, experts_of_format(name.c_str()), {1, 2, 5, 16, 33, 96}) <
          (exact ? 1e-10f : 1e-3f));
  }
  PlanShape mixed = experts_of_format("q4_k");
  mixed.value_format = "q5_0";
  mixed.gate_format = "q8_0";
  mixed.router_format = "f16";
  CHECK(compare_experts([] { return cpu_backend(3); }, mixed, {1, 7, 40}) < 1e-3f);
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
                kComparedCapacity);
  Rig fast(cpu_backend(), *model, CacheType::f32, kComparedCapacity);
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
