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
std::unique_ptr<Backend> reproducible_backend() {
  return cuda::new_cuda_backend(0, {.reproducible = true}).value();
}

// In few rows: a thread of a kernel takes long where there is no device.
float compare(const PlanShape& shape, CacheType type, Measure measure = difference,
              const MakeBackend& make = cuda_backend) {
  return test::compare(make, shape, type, measure, kShortSteps, kShortCapacity);
}

// By tensor cores, one step of each of the shapes they take.
float compare_tiles(const PlanShape& shape, CacheType type) {
  const Steps steps = {{{0, 0, 11}, {1, 0, 3}}, {{0, 11, 27}}, {{1, 3, 50}}, {{2, 0, 75}}};
  return test::compare(cuda_backend, shape, type, square_difference, steps, kComparedCapacity);
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
    CHECK(compare(shape, CacheType::f8_e4m3, square_difference) < 1e-2f);
  }
}

TEST_CASE("Weight formats agree with the reference backend on CUDA", "[cuda][gpu]") {
  if (no_device("weight formats on CUDA")) return;
  for (const quant::Format* format : quant::formats()) {
    const std::string name(format->name);
    CAPTURE(name);
    const PlanShape shape = shape_of_format(name.c_str());
    if (name == "f32" || name == "f16" || name == "bf16")
      CHECK(compare(shape, CacheType::f32, difference, reproducible_backend) < 2e-5f);
    else  // activations are rounded to 8 bits
      CHECK(compare(shape, CacheType::f32, square_difference, reproducible_backend) < 3e-3f);
  }
}

TEST_CASE("Weight formats agree with the reference backend on tensor cores", "[cuda][gpu]") {
  if (no_device("tensor cores")) return;
  for (const quant::Format* format : quant::formats()) {
    const std::string name(format->name);
    CAPTURE(name);
    const float d = compare_tiles(shape_of_format(name.c_str()), CacheType::f32);
    if (name == "f32")
      CHECK(d < 1e-9f);
    else if (name == "f16")  // activations are rounded to 10 bits of fraction
      CHECK(d < 1e-5f);
    else if (name == "bf16")  // to 7
      CHECK(d < 3e-4f);
    else  // to 8 bits
      CHECK(d < 3e-3f);
  }
}

TEST_CASE("Widths that are multiples of nothing go by tensor cores", "[cuda][gpu]") {
  if (no_device("odd widths on tensor cores")) return;
  for (const char* format : {"bf16", "f16", "q4_0", "q5_1", "q8_0"}) {
    CAPTURE(format);
    PlanShape shape;
    shape.layers = 1;
    const bool floats = format[0] != 'q';
    shape.width = floats ? 37 : 96;
    shape.ff = floats ? 51 : 288;
    shape.vocab = 33;
    shape.heads = shape.kv_heads = 3;
    shape.head_dim = shape.rope.dims = 32;
    shape.biases = true;
    shape.format = format;
    CHECK(compare_tiles(shape, CacheType::f32) < 5e-3f);
  }
}

TEST_CASE("Rows that fill a block's shared memory are normalized all the same", "[cuda][gpu]") {
  if (no_device("wide rows on CUDA")) return;
  PlanShape shape;
  shape.layers = 1;
  shape.width = GENERATE(6144, 12288);  // two rows of floats, or one, have what is free to use
  shape.ff = shape.vocab = 40;
  shape.format = "f16";
  const Steps steps = {{{0, 0, 2}}, {{0, 2, 1}}};
  CHECK(test::compare(cuda_backend, shape, CacheType::f32, difference, steps, kShortCapacity) <
        2e-5f);
}

TEST_CASE("Experts agree with the reference backend on CUDA, in every format", "[cuda][gpu]") {
  if (no_device("experts on CUDA")) return;
  for (const quant::Format* format : quant::formats()) {
    const std::string name(format->name);
    CAPTURE(name);
    const PlanShape shape = experts_of_format(name.c_str());
    const bool floats = name == "f32" || name == "f16" || name == "bf16";
    CHECK(compare_experts(reproducible_backend, shape, {1, 2, 5, 12}) < (floats ? 1e-9f : 1e-3f));
    CHECK(compare_experts(cuda_backend, shape, {1, 4, 12, 30, 75}) <
          (name == "f32" ? 1e-9f : 1e-3f));
  }
}

TEST_CASE("Experts of several formats agree with the reference backend on CUDA", "[cuda][gpu]") {
  if (no_device("experts of several formats on CUDA")) return;
  PlanShape shape = experts_of_format("q4_k");
  shape.value_format = "q5_0";
  shape.gate_format = "q8_0";
  shape.router_format = "f16";
  CHECK(compare_experts(reproducible_backend, shape, {1, 7, 12}) < 1e-3f);
}

TEST_CASE("Experts that do not fit their block are refused on CUDA", "[cuda][gpu]") {
  if (no_device("experts that do not fit")) return;
  PlanShape shape;
  shape.experts = 4;
  shape.active = 2;
  const auto model = PlanMaker::make(shape);
  const Slice all{0, static_cast<int>(model->plan.blocks.size())};
  const auto backend = cuda_backend();
  void (*const cases[])(Moe&) = {
      [](Moe& moe) { moe.active = 5; },    [](Moe& moe) { moe.active = 0; },
      [](Moe& moe) { moe.experts = 3; },   [](Moe& moe) { moe.up.first_row = 1; },
      [](Moe& moe) { moe.router = {}; },   [](Moe& moe) { moe.gate = {}; },
      [](Moe& moe) { moe.down.rows = 7; }, [](Moe& moe) { moe.gate.bias = moe.norm.weight; }};
  for (const auto spoil : cases) {
    auto plan = model->plan;
    spoil(std::get<Moe>(plan.blocks[2]));
    const auto refused = backend->footprint(plan, all, CacheType::f32, kShortCapacity);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == ErrorCode::unsupported);
    CHECK(std::string(refused.error().message()).find("block 2") != std::string::npos);
  }
}

TEST_CASE("Products of many rows agree with the reference backend", "[cuda][gpu]") {
  if (no_device("products of many rows on CUDA")) return;  // by cuBLASLt, where that is there
  PlanShape shape;
  shape.layers = 1;
  shape.format = "bf16";
  shape.biases = true;
  const Capacity capacity{.rows = 160, .sequences = 2, .outputs = 160};
  const Steps steps = {{{0, 0, 140}}, {{0, 140, 1}, {1, 0, 2}}, {{1, 2, 150}}};
  CHECK(test::compare(cuda_backend, shape, CacheType::f16, square_difference, steps, capacity) <
        3e-4f);
}

TEST_CASE("Quantized weights of many rows become BF16, and agree with the reference backend",
          "[cuda][gpu]") {
  if (no_device("quantized products of many rows on CUDA")) return;
  for (const quant::Format* format : quant::formats()) {
    if (format->block_values == 1) continue;
    const std::string name(format->name);
    CAPTURE(name);
    PlanShape shape;
    shape.layers = 1;
    shape.width = shape.ff = format->block_values < 256 ? 96 : 256;
    shape.biases = true;
    shape.heads = shape.kv_heads = 1;
    shape.head_dim = shape.rope.dims = shape.width;
    shape.format = name.c_str();
    shape.vocab = 21;
    const Capacity capacity{.rows = 300, .sequences = 2, .outputs = 300};
    const Steps steps = {{{0, 0, 258}}, {{0, 258, 1}, {1, 0, 2}}};
    // Activations are rounded to 7 bits there, and to 8 by the integer kernels.
    CHECK(test::compare(cuda_backend, shape, CacheType::f16, square_difference, steps, capacity) <
          1e-3f);
  }
}

TEST_CASE("Attention by tensor cores agrees with the reference backend", "[cuda][gpu]") {
  if (no_device("attention by tensor cores")) return;
  struct Heads {
    int heads, kv_heads, head_dim;
  };
  const Heads cases[] = {{4, 2, 32}, {4, 4, 64}, {6, 2, 96}, {8, 1, 128}, {20, 1, 32}};
  for (const auto& [heads, kv_heads, head_dim] : cases) {
    CAPTURE(heads, kv_heads, head_dim);
    PlanShape shape;
    shape.layers = 1;
    shape.heads = heads;
    shape.kv_heads = kv_heads;
    shape.head_dim = shape.rope.dims = head_dim;
    CHECK(compare(shape, CacheType::bf16) < 3e-2f);
    CHECK(compare_tiles(shape, CacheType::f16) < 1e-6f);
    if (head_dim % 64 == 0) continue;
    CHECK(compare(shape, CacheType::q8_0, square_difference) < 2e-4f);
    CHECK(compare(shape, CacheType::f8_e4m3, square_difference) < 1e-2f);
  }
}

TEST_CASE("Keys that are cut into splits are all attended to", "[cuda][gpu]") {
  if (no_device("splits on CUDA")) return;
  const CacheType type = GENERATE(CacheType::f32, CacheType::bf16);
  PlanShape shape;
  shape.layers = 1;
  shape.heads = 4;
  shape.kv_heads = 2;
  shape.head_dim = shape.rope.dims = 32;
  shape.context = 512;
  const Steps steps = {{{0, 0, 90}},   {{0, 90, 37}, {1, 0, 2}}, {{0, 127, 3}},  // cut at 128
                       {{0, 130, 20}}, {{0, 150, 1}, {1, 2, 1}}, {{0, 151, 1}}};
  for (const auto make : {cuda_backend, reproducible_backend})
    CHECK(test::compare(make, shape, type, square_difference, steps, kComparedCapacity) < 1e-4f);
}

TEST_CASE("A row's bits on CUDA do not depend on its company where that is asked", "[cuda][gpu]") {
  if (no_device("same bits on CUDA")) return;
  const int head_dim = GENERATE(16, 32);
  CAPTURE(head_dim);
  PlanShape shape;
  shape.experts = head_dim == 16 ? 6 : 0;
  shape.active = shape.experts / 3;
  shape.width = shape.ff = 64;
  shape.heads = 4;
  shape.kv_heads = 2;
  shape.head_dim = shape.rope.dims = head_dim;
  shape.head_norms = true;
  shape.format = "q8_0";
  const auto model = PlanMaker::make(shape);
  constexpr int kTokens = 20;
  constexpr Capacity kCapacity{.rows = 96, .sequences = 2, .outputs = 96};
  const auto tokens = random_tokens(70, shape.vocab);
  Rig together(reproducible_backend(), *model, CacheType::bf16, kCapacity);
  Rig alone(reproducible_backend(), *model, CacheType::bf16, kCapacity);
  const auto all = together.run(tokens, {{1, 0, 70}, {0, 0, kTokens}});
  std::vector<float> single;
  for (int i = 0, chunk = 1, next = 1; i < kTokens;) {  // 1, 1, 2, 3, 5, 8
    const auto rows = alone.run(tokens, {{0, i, chunk}});
    single.insert(single.end(), rows.begin(), rows.end());
    i += chunk;
    chunk = std::exchange(next, chunk + next);
  }
  CHECK(std::vector<float>(all.end() - static_cast<std::ptrdiff_t>(single.size()), all.end()) ==
        single);
}

TEST_CASE("CUDA allocates what it tells", "[cuda][gpu]") {
  if (no_device("CUDA memory")) return;
  PlanShape shape;
  shape.experts = GENERATE(0, 6);
  shape.active = shape.experts / 2;
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

TEST_CASE("Loading to CUDA names the tensor and the row of a number that is not finite",
          "[cuda][gpu]") {
  if (no_device("NaN on CUDA")) return;
  struct Case {
    const char* format;
    std::size_t row_bytes, at;  // `at`: of a number in a row
  };
  const std::uint32_t nan = 0x7fc07e00;  // of float, and its halves of F16 and BF16
  for (const auto& [format, row_bytes, at] :
       {Case{"f32", 1024, 20}, Case{"bf16", 512, 510}, Case{"q8_0", 272, 34},
        Case{"q6_k", 210, 208}, Case{"q4_1", 160, 22}, Case{"q5_k", 176, 2}}) {
    CAPTURE(format);
    const auto model = PlanMaker::make(shape_of_format(format));
    const Slice all{0, static_cast<int>(model->plan.blocks.size())};
    const bool wide = format[1] == '3';
    std::memcpy(model->tensors.bytes("blk.0.up.weight").data() + 17 * row_bytes + at,
                reinterpret_cast<const std::byte*>(&nan) + (format[0] == 'b' ? 2 : 0),
                wide ? 4 : 2);
    const auto error = cuda_backend()->pack(model->plan, all, model->tensors, {}).error();
    CHECK(error.code() == ErrorCode::bad_file);
    CHECK(error.message() == "tensor blk.0.up.weight, row 17: a NaN or infinite weight");
    CHECK(cuda_backend()->pack(model->plan, all, model->tensors,
                               {.check_weights = false, .progress = {}}));
  }
}
