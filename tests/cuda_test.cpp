// The CUDA backend against the reference backend; on a device where there is one, and over the
// stand-in of tests/fake_cuda.
#include "tyto/cuda.h"

#include <cstdio>

#include "cuda/cuda_backend.h"
#include "tests/block_comparison.h"

using namespace tyto;
using namespace tyto::test;

namespace {

bool no_device(const char* name) {
  if (!cuda_devices().value().empty()) return false;
  std::printf("skipped: %s (no CUDA device)\n", name);
  return true;
}

std::unique_ptr<Backend> cuda_backend() { return cuda::new_cuda_backend(0).value(); }

// In few rows: a thread of a kernel takes long where there is no device.
float compare(const PlanShape& shape, CacheType type, Measure measure = difference) {
  return test::compare(cuda_backend, shape, type, measure, kShortSteps, kShortCapacity);
}

}  // namespace

TEST_CASE("A CUDA device that is not there is refused by name", "[cuda]") {
  const auto devices = cuda_devices();
  REQUIRE(devices);
  const auto backend = cuda::new_cuda_backend(static_cast<int>(devices->size()));
  REQUIRE_FALSE(backend);
  CHECK(backend.error().code() == ErrorCode::unsupported);
  CHECK(std::string(backend.error().message()).find("cuda:") == 0);
}

TEST_CASE("CUDA blocks agree with the reference backend, field by field", "[cuda][gpu]") {
  if (no_device("CUDA blocks")) return;
  for (const Field& field : kFields) {
    CAPTURE(field.name);
    PlanShape shape;
    field.set(shape);
    CHECK(compare(shape, CacheType::f32) < 2e-5f);
  }
}

TEST_CASE("Prompts of many rows agree with the reference backend on CUDA", "[cuda][gpu]") {
  if (no_device("long prompts on CUDA")) return;
  CHECK(test::compare(cuda_backend, PlanShape(), CacheType::f32) < 2e-5f);
}

TEST_CASE("Odd widths agree with the reference backend on CUDA", "[cuda][gpu]") {
  if (no_device("odd widths on CUDA")) return;
  for (int odd = 0; odd < kOddShapes; ++odd) {
    CAPTURE(odd);
    CHECK(compare(odd_shape(odd), CacheType::f32) < 2e-5f);
  }
}

TEST_CASE("Cache types agree with the reference backend on CUDA", "[cuda][gpu]") {
  if (no_device("cache types on CUDA")) return;
  for (const int head_dim : {16, 40}) {
    PlanShape shape;
    shape.heads = 8;
    shape.head_dim = shape.rope.dims = head_dim;
    // A value on the border between two numbers of the cache type may fall to either side.
    CHECK(compare(shape, CacheType::f16) < 2e-3f);
    CHECK(compare(shape, CacheType::bf16) < 2e-2f);
    CHECK(compare(shape, CacheType::q8_0, square_difference) < 1e-4f);
  }
}

TEST_CASE("Weight formats agree with the reference backend on CUDA", "[cuda][gpu]") {
  if (no_device("weight formats on CUDA")) return;
  for (const quant::Format* format : quant::formats()) {
    const std::string name(format->name);
    CAPTURE(name);
    const PlanShape shape = shape_of_format(name.c_str());
    if (name == "f32" || name == "f16" || name == "bf16")
      CHECK(compare(shape, CacheType::f32) < 2e-5f);
    else  // activations are rounded to 8 bits
      CHECK(compare(shape, CacheType::f32, square_difference) < 3e-3f);
  }
}

TEST_CASE("A row's bits on CUDA do not depend on its company", "[cuda][gpu]") {
  if (no_device("same bits on CUDA")) return;
  PlanShape shape;
  shape.width = shape.ff = 64;
  shape.head_dim = shape.rope.dims = 16;
  shape.format = "q8_0";
  const auto model = PlanMaker::make(shape);
  constexpr int kTokens = 20;
  constexpr Capacity kCapacity{.rows = 32, .sequences = 2, .outputs = 32};
  const auto tokens = random_tokens(kTokens, shape.vocab);
  Rig together(cuda_backend(), *model, CacheType::bf16, kCapacity);
  Rig alone(cuda_backend(), *model, CacheType::bf16, kCapacity);
  const auto all = together.run(tokens, {{1, 0, 9}, {0, 0, kTokens}});
  std::vector<float> single;
  for (int i = 0; i < kTokens; ++i) {
    const auto row = alone.run(tokens, {{0, i, 1}});
    single.insert(single.end(), row.begin(), row.end());
  }
  CHECK(std::vector<float>(all.end() - static_cast<std::ptrdiff_t>(single.size()), all.end()) ==
        single);
}

TEST_CASE("CUDA allocates what it tells", "[cuda][gpu]") {
  if (no_device("CUDA memory")) return;
  PlanShape shape;
  const auto model = PlanMaker::make(shape);
  Rig rig(cuda_backend(), *model, CacheType::f16, kShortCapacity);
  CHECK(rig.weights().bytes() == rig.footprint().weights);
  CHECK(rig.program().bytes() == rig.footprint().workspace);
  const auto pages = static_cast<std::uint64_t>(4 * shape.context / kPageTokens);
  CHECK(rig.cache().bytes() == rig.footprint().page[0] * pages);
}

TEST_CASE("A slice on CUDA goes on where an earlier one ended", "[cuda][gpu]") {
  if (no_device("slices on CUDA")) return;
  PlanShape shape;
  const auto model = PlanMaker::make(shape);
  const auto tokens = random_tokens(9, shape.vocab);
  const int last = static_cast<int>(model->plan.blocks.size());
  Rig whole(cuda_backend(), *model, CacheType::f32, kShortCapacity);
  Rig first(cuda_backend(), *model, CacheType::f32, kShortCapacity, {0, 3});
  const auto expected = whole.run(tokens, {{0, 0, 9}});
  const auto hidden = first.run(tokens, {{0, 0, 9}}, Want::hidden);
  Rig second(cuda_backend(), *model, CacheType::f32, kShortCapacity, {3, last});
  second.hidden = hidden;
  CHECK(second.run(std::vector<int>(9, -1), {{0, 0, 9}}) == expected);
}

TEST_CASE("A deadline cuts a CUDA step at borders of blocks, and changes nothing", "[cuda][gpu]") {
  if (no_device("deadlines on CUDA")) return;
  PlanShape shape;
  const auto model = PlanMaker::make(shape);
  const auto tokens = random_tokens(7, shape.vocab);
  Rig at_once(cuda_backend(), *model, CacheType::f16, kShortCapacity);
  Rig in_parts(cuda_backend(), *model, CacheType::f16, kShortCapacity);
  const auto expected = at_once.run(tokens, {{0, 0, 7}});
  CHECK(in_parts.run(tokens, {{0, 0, 7}}, Want::logits, Clock::time_point::min()) == expected);
  CHECK(in_parts.interruptions == static_cast<int>(model->plan.blocks.size()) - 1);
}

TEST_CASE("CUDA pages are copied and cleared", "[cuda][gpu]") {
  if (no_device("pages on CUDA")) return;
  PlanShape shape;
  shape.layers = 1;
  const auto model = PlanMaker::make(shape);
  const auto tokens = random_tokens(18, shape.vocab);
  const CacheType type = GENERATE(CacheType::f32, CacheType::q8_0);
  Rig rig(cuda_backend(), *model, type, kShortCapacity);
  Rig reference(cpu::new_reference_backend(runtime_of(1)).value(), *model, type, kShortCapacity);
  for (Rig* each : {&rig, &reference}) {
    (void)each->run(tokens, {{0, 0, 9}});
    (void)each->run(tokens, {{0, 9, 8}});
  }
  // Sequence 1 takes over both pages: its next row sees the same keys.
  for (Rig* each : {&rig, &reference})
    for (const std::size_t page : {0u, 1u})
      each->cache().copy_page(0, each->table(0)[page], each->table(1)[page]).value();
  const auto expected = rig.run(tokens, {{0, 17, 1}});
  CHECK(rig.run(tokens, {{1, 17, 1}}) == expected);
  // Cleared keys are zeros.
  for (Rig* each : {&rig, &reference}) each->cache().clear_page(0, each->table(1)[0], 3).value();
  CHECK(square_difference(reference.run(tokens, {{1, 17, 1}}), rig.run(tokens, {{1, 17, 1}})) <
        1e-4f);
}

TEST_CASE("A CUDA step that is dropped, or refused, leaves the next one as it would be",
          "[cuda][gpu]") {
  if (no_device("dropped steps on CUDA")) return;
  PlanShape shape;
  const auto model = PlanMaker::make(shape);
  const auto tokens = random_tokens(5, shape.vocab);
  Rig undisturbed(cuda_backend(), *model, CacheType::f16, kShortCapacity);
  Rig rig(cuda_backend(), *model, CacheType::f16, kShortCapacity);
  const std::span<const PageId> table = rig.table(0);
  const Sequence sequence{{&table, 1}};
  const Row other{tokens[1], 0, 0, 0, 1, 0}, beyond{shape.vocab, 0, 0, 0, 1, 0};
  std::vector<float> logits(static_cast<std::size_t>(shape.vocab));
  const Output output{0, Want::logits, logits};
  REQUIRE(rig.program().start({{&other, 1}, {&sequence, 1}, {}}, {&output, 1}));
  REQUIRE(rig.program().work(Clock::time_point::max()));
  const auto refused = rig.program().start({{&beyond, 1}, {&sequence, 1}, {}}, {&output, 1});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == ErrorCode::bad_argument);
  CHECK(rig.run(tokens, {{0, 0, 5}}) == undisturbed.run(tokens, {{0, 0, 5}}));
}

TEST_CASE("What CUDA does not serve is refused by name", "[cuda][gpu]") {
  if (no_device("what CUDA lacks")) return;
  PlanShape shape;
  const auto backend = cuda_backend();
  const Slice all{0, 2};
  auto refused = backend->footprint(PlanMaker::make(shape)->plan, all, CacheType::q4_0, {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == ErrorCode::unsupported);
  shape.head_dim = shape.rope.dims = 320;
  refused = backend->footprint(PlanMaker::make(shape)->plan, all, CacheType::f16, {});
  REQUIRE_FALSE(refused);
  CHECK(std::string(refused.error().message()).find("320") != std::string::npos);
}
