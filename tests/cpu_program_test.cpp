// What the CPU backend promises beside the numbers: exact sizes, refused input, slices, hidden
// rows, pages, and loading.
#include <algorithm>
#include <limits>
#include <thread>

#include "cpu/cpu_backend.h"
#include "cpu/features.h"
#include "cpu/isa_table.h"
#include "cpu/sincos.h"
#include "tests/allocations.h"
#include "tests/catch.h"
#include "tests/random_plan.h"
#include "tests/tiny_model.h"

using namespace tyto;
using namespace tyto::test;

namespace {

constexpr Capacity kCapacity{.rows = 64, .sequences = 4, .outputs = 64};

std::unique_ptr<Backend> backend(int threads = 2) {
  return cpu::new_cpu_backend(runtime_of(threads), isa_under_test()).value();
}

}  // namespace

TEST_CASE("The footprint is what is then allocated", "[cpu][program]") {
  const int experts = GENERATE(0, 6);
  for (const int threads : {1, 3}) {
    for (const CacheType type : {CacheType::bf16, CacheType::f32, CacheType::q4_0}) {
      PlanShape shape;
      shape.context = 2000;
      shape.experts = experts;
      shape.active = experts / 2;
      const auto model = PlanMaker::make(shape);
      Rig rig(backend(threads), *model, type, kCapacity);
      CHECK(rig.footprint().weights == rig.weights().bytes());
      CHECK(rig.footprint().workspace == rig.program().bytes());
      CHECK(rig.footprint().page.at(0) * 4 * 125 == rig.cache().bytes());
    }
  }
}

TEST_CASE("A step allocates nothing", "[cpu][program][allocations]") {
  PlanShape shape;
  shape.experts = GENERATE(0, 6);
  shape.active = shape.experts / 2;
  const auto model = PlanMaker::make(shape);
  Rig rig(backend(), *model, CacheType::bf16, kCapacity);
  const auto tokens = random_tokens(64, shape.vocab);
  rig.run(tokens, {{0, 0, 3}});  // starts the threads
  std::vector<Row> rows;
  for (int i = 0; i < 40; ++i)
    rows.push_back({tokens[static_cast<std::size_t>(i)], 0, i, 0, i + 1, i});
  const std::span<const PageId> table = rig.table(0);
  const Sequence sequence{{&table, 1}};
  std::vector<float> logits(static_cast<std::size_t>(shape.vocab)),
      hidden(static_cast<std::size_t>(shape.width));
  const Output outputs[] = {{38, Want::hidden, hidden}, {39, Want::logits, logits}};
  const AllocationWatch watch;
  const bool good = rig.program().start({rows, {&sequence, 1}, {}}, outputs).has_value() &&
                    rig.program().work(Clock::time_point::max()).has_value() &&
                    rig.program().finish().has_value();
  CHECK(watch.count() == 0);
  CHECK(good);
}

TEST_CASE("A step beyond the program's capacity, or that contradicts itself, is a bad argument",
          "[cpu][program]") {
  PlanShape shape;
  shape.context = 64;
  shape.positions = true;
  const auto model = PlanMaker::make(shape);
  Rig rig(backend(), *model, CacheType::f32, {.rows = 4, .sequences = 2, .outputs = 2});
  const std::span<const PageId> table = rig.table(0);
  const std::vector<Sequence> sequences(3, Sequence{{&table, 1}});
  std::vector<float> logits(static_cast<std::size_t>(shape.vocab));
  const auto start = [&](std::vector<Row> rows, std::vector<Output> outputs = {},
                         std::size_t count = 1) {
    return rig.program().start({rows, std::span(sequences).first(count), {}}, outputs);
  };
  const auto refused = [&](auto&&... args) {
    const auto result = start(args...);
    return !result && result.error().code() == ErrorCode::bad_argument;
  };
  const Row good{3, 0, 0, 0, 1, 0};
  CHECK(start({good}, {{0, Want::logits, logits}}));
  const auto with = [&](auto member, int value) {
    Row row = good;
    row.*member = value;
    return std::vector<Row>{row};
  };
  CHECK(refused(std::vector<Row>{}));
  CHECK(refused(std::vector<Row>(5, good)));
  CHECK(refused(std::vector<Row>{good}, std::vector<Output>{}, 3));
  CHECK(refused(with(&Row::token, shape.vocab)));
  CHECK(refused(with(&Row::token, -2)));
  CHECK(refused(with(&Row::token, -1)));  // without its hidden row
  CHECK(refused(with(&Row::sequence, 1)));
  CHECK(refused(with(&Row::sequence, -1)));
  CHECK(refused(with(&Row::slot, 64)));
  CHECK(refused(with(&Row::slot, -1)));
  CHECK(refused(with(&Row::end, 65)));
  CHECK(refused(with(&Row::end, 0)));
  CHECK(refused(with(&Row::begin, -1)));
  CHECK(refused(with(&Row::position, 64)));
  CHECK(refused(with(&Row::position, -1)));
  CHECK(refused(std::vector<Row>{good, good}));  // the same slot twice
  const std::vector<Row> two = {good, {3, 0, 1, 0, 2, 1}};
  CHECK(start(two));
  CHECK(refused(two, std::vector<Output>{{2, Want::logits, logits}}));
  CHECK(refused(two, std::vector<Output>{{1, Want::logits, logits}, {0, Want::logits, logits}}));
  CHECK(refused(two, std::vector<Output>(3, {0, Want::logits, logits})));
  CHECK(refused(two, std::vector<Output>{{0, Want::logits, std::span(logits).first(3)}}));
  CHECK(refused(two, std::vector<Output>(2, {0, Want::logits, logits})));
  TopLogits top;
  CHECK(refused(two, std::vector<Output>{{0, Want::top, {}, &top}}));  // not found here
  const PageId wrong[] = {9999};
  const std::span<const PageId> wrong_table(wrong);
  const Sequence lost{{&wrong_table, 1}}, none{};
  CHECK_FALSE(rig.program().start({{&good, 1}, {&lost, 1}, {}}, {}));
  CHECK_FALSE(rig.program().start({{&good, 1}, {&none, 1}, {}}, {}));
}

TEST_CASE("Two slices, with hidden rows between them, are the whole", "[cpu][program]") {
  PlanShape shape;
  const auto model = PlanMaker::make(shape);
  const auto tokens = random_tokens(60, shape.vocab);
  Rig whole(backend(), *model, CacheType::f32, kCapacity);
  Rig front(backend(), *model, CacheType::f32, kCapacity, {0, 3});
  Rig back(backend(), *model, CacheType::f32, kCapacity, {3, 6});
  const std::vector<int> none(60, -1);
  for (const auto& chunk : std::vector<Rig::Chunk>{{0, 0, 50}, {0, 50, 1}, {0, 51, 9}}) {
    const auto hidden = front.run(tokens, {chunk}, Want::hidden);
    back.hidden = hidden;
    CHECK(back.run(none, {chunk}) == whole.run(tokens, {chunk}));
  }
  const Output output{};
  CHECK(front.program().start({}, {&output, 1}).error().code() == ErrorCode::bad_argument);
}

TEST_CASE("Pages are copied and cleared slot by slot", "[cpu][program]") {
  for (const CacheType type :
       {CacheType::bf16, CacheType::f16, CacheType::f32, CacheType::q8_0, CacheType::q4_0}) {
    PlanShape shape;
    const auto model = PlanMaker::make(shape);
    Rig rig(backend(), *model, type, kCapacity);
    const auto tokens = random_tokens(64, shape.vocab);
    const auto first = rig.run(tokens, {{0, 0, 20}});
    const auto next = rig.run(tokens, {{0, 20, 3}});
    // The second page moves to where sequence 1 has its own; the first page is copied too.
    for (std::size_t p = 0; p < 2; ++p)
      rig.cache().copy_page(0, rig.table(0)[p], rig.table(1)[p]).value();
    rig.cache().clear_page(0, rig.table(1)[1], 4).value();
    CHECK(rig.run(tokens, {{1, 20, 3}}) == next);
    rig.cache().clear_page(0, rig.table(1)[0], 0).value();
    CHECK(rig.run(tokens, {{1, 20, 3}}) != next);
    CHECK(rig.run(tokens, {{0, 20, 3}}) == next);
    CHECK(rig.run(tokens, {{0, 0, 20}}) == first);
  }
}

TEST_CASE("A NaN stays in its own rows", "[cpu][program]") {
  const CacheType type = GENERATE(CacheType::f32, CacheType::bf16);
  PlanShape shape;
  shape.layers = 1;
  shape.experts = GENERATE(0, 6);
  shape.active = shape.experts / 2;
  const auto model = PlanMaker::make(shape);
  // The embedding of token 7 is infinite.
  for (int i = 0; i < shape.width; ++i) {
    const float infinity = std::numeric_limits<float>::infinity();
    std::memcpy(model->tensors.bytes("table").data() + (7 * shape.width + i) * 4, &infinity, 4);
  }
  auto cpu = backend();
  const Slice all{0, static_cast<int>(model->plan.blocks.size())};
  CHECK(cpu->pack(model->plan, all, model->tensors, {}).error().code() == ErrorCode::bad_file);
  auto tokens = random_tokens(40, shape.vocab);
  std::replace(tokens.begin(), tokens.end(), 7, 8);
  const auto weights =
      cpu->pack(model->plan, all, model->tensors, {.check_weights = false, .progress = {}}).value();
  const int pages[] = {3};
  const auto cache = cpu->new_cache(model->plan, all, type, pages).value();
  const auto program = cpu->compile(model->plan, all, *weights, *cache, kCapacity).value();
  const auto run = [&] {
    const PageId ids[] = {0, 1, 2};
    const std::span<const PageId> table(ids);
    const Sequence sequence{{&table, 1}};
    std::vector<Row> rows;
    std::vector<float> out(40 * static_cast<std::size_t>(shape.vocab));
    std::vector<Output> outputs;
    for (int i = 0; i < 40; ++i) {
      rows.push_back({tokens[static_cast<std::size_t>(i)], 0, i, 0, i + 1, i});
      outputs.push_back({i, Want::logits,
                         std::span(out).subspan(static_cast<std::size_t>(i * shape.vocab),
                                                static_cast<std::size_t>(shape.vocab))});
    }
    program->start({rows, {&sequence, 1}, {}}, outputs).value();
    program->work(Clock::time_point::max()).value();
    return out;
  };
  const auto clean = run();
  tokens[25] = 7;
  const auto spoilt = run();
  const auto border = 25 * shape.vocab;
  CHECK(std::equal(clean.begin(), clean.begin() + border, spoilt.begin()));
  CHECK(std::isnan(spoilt[static_cast<std::size_t>(border)]));
  CHECK(std::isnan(spoilt.back()));
}

TEST_CASE("Loading names the tensor and the row of a number that is not finite", "[cpu][pack]") {
  PlanShape shape;
  const auto model = PlanMaker::make(shape);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(model->tensors.bytes("blk.1.up.weight").data() + (17 * shape.width + 5) * 4, &nan, 4);
  const Slice all{0, static_cast<int>(model->plan.blocks.size())};
  const auto error = backend()->pack(model->plan, all, model->tensors, {}).error();
  CHECK(error.code() == ErrorCode::bad_file);
  CHECK(error.message() == "tensor blk.1.up.weight, row 17: a NaN or infinite weight");
  CHECK(
      backend()->pack(model->plan, all, model->tensors, {.check_weights = false, .progress = {}}));
}

TEST_CASE("Loading tells its progress, and stops when it is told to", "[cpu][pack]") {
  PlanShape shape;
  const auto model = PlanMaker::make(shape);
  const Slice all{0, static_cast<int>(model->plan.blocks.size())};
  std::vector<float> fractions;
  const auto thread = std::this_thread::get_id();
  bool own_thread = true, go_on = true;
  PackOptions options;
  options.progress = [&](float fraction) {
    fractions.push_back(fraction);
    own_thread = own_thread && std::this_thread::get_id() == thread;
    return go_on;
  };
  CHECK(backend()->pack(model->plan, all, model->tensors, options));
  CHECK(own_thread);
  REQUIRE_FALSE(fractions.empty());
  CHECK(std::is_sorted(fractions.begin(), fractions.end()));
  CHECK(fractions.back() == 1.0f);
  go_on = false;
  CHECK(backend()->pack(model->plan, all, model->tensors, options).error().code() ==
        ErrorCode::cancelled);
}

TEST_CASE("A block that the backend cannot run is named with its field", "[cpu][program]") {
  PlanShape shape;
  const auto model = PlanMaker::make(shape);
  auto plan = model->plan;
  std::get<Attention>(plan.blocks[3]).rope.dims = 5;
  const Slice all{0, static_cast<int>(plan.blocks.size())};
  const auto error = backend()->footprint(plan, all, CacheType::f32, kCapacity).error();
  CHECK(error.code() == ErrorCode::unsupported);
  CHECK(error.message().find("block 3, rope.dims") != std::string_view::npos);
}

TEST_CASE("Experts that do not fit their block are named with its field", "[cpu][program]") {
  PlanShape shape;
  shape.experts = 4;
  shape.active = 2;
  const auto model = PlanMaker::make(shape);
  const Slice all{0, static_cast<int>(model->plan.blocks.size())};
  const struct {
    const char* field;
    void (*spoil)(Moe&);
  } cases[] = {{"active", [](Moe& moe) { moe.active = 5; }},
               {"active", [](Moe& moe) { moe.active = 0; }},
               {"router", [](Moe& moe) { moe.experts = 3; }},
               {"router", [](Moe& moe) { moe.router = {}; }},
               {"up", [](Moe& moe) { moe.up.first_row = 1; }},
               {"gate", [](Moe& moe) { moe.gate.bias = moe.norm.weight; }},
               {"gate", [](Moe& moe) { moe.gate = {}; }},
               {"down", [](Moe& moe) { moe.down.rows = 7; }}};
  for (const auto& [field, spoil] : cases) {
    CAPTURE(field);
    auto plan = model->plan;
    spoil(std::get<Moe>(plan.blocks[2]));
    const auto error = backend()->footprint(plan, all, CacheType::f32, kCapacity).error();
    CHECK(error.code() == ErrorCode::unsupported);
    CHECK(error.message().find(std::string("block 2, ") + field) != std::string_view::npos);
  }
}

TEST_CASE("The best table is one of those that the machine has", "[cpu]") {
  const cpu::Features f = cpu::detect_features();
  CHECK(cpu::find_table(Isa::scalar) != nullptr);
  REQUIRE(cpu::find_table(Isa::best) != nullptr);
  if (!f.avx2) CHECK(cpu::find_table(Isa::avx2) == nullptr);
  if (!f.avx512) CHECK(cpu::find_table(Isa::avx512) == nullptr);
  if (!f.neon) CHECK(cpu::find_table(Isa::neon) == nullptr);
}

TEST_CASE("Sine and cosine are accurate far out", "[cpu]") {
  for (double x = -40; x < 40; x += 0.37) {
    CHECK(std::abs(cpu::sin_cos(x).sin - std::sin(x)) < 1e-15);
    CHECK(std::abs(cpu::sin_cos(x).cos - std::cos(x)) < 1e-15);
  }
  for (const double x : {1e3, 12345.678, 1048576.0, 1048575.9}) {
    CHECK(std::abs(cpu::sin_cos(x).sin - std::sin(x)) < 1e-13);
    CHECK(std::abs(cpu::sin_cos(x).cos - std::cos(x)) < 1e-13);
  }
}

TEST_CASE("A cache of 8-bit floats is refused by name", "[cpu][program]") {
  PlanShape shape;
  const auto model = PlanMaker::make(shape);
  const Slice all{0, static_cast<int>(model->plan.blocks.size())};
  const auto footprint = backend()->footprint(model->plan, all, CacheType::f8_e4m3, {});
  REQUIRE_FALSE(footprint);
  CHECK(footprint.error().code() == ErrorCode::unsupported);
}
