// A row's result depends on that row alone: the same bits whatever the thread count, the rows that
// come along, and the pieces in which a prompt is computed.
#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/cpu_backend.h"
#include "cpu/isa_table.h"
#include "tests/catch.h"
#include "tests/isa_under_test.h"
#include "tests/random_plan.h"
#include "tests/tiny_model.h"

using namespace tyto;
using namespace tyto::test;

namespace {

constexpr Capacity kCapacity{.rows = 600, .sequences = 4, .outputs = 600};
constexpr int kLength = 560;  // more than a split of the keys

struct InlineExecutor : Executor {
  int concurrency() const noexcept override { return 5; }
  void run(int tasks, void (*task)(void*, int) noexcept, void* context) noexcept override {
    for (int i = tasks; i-- > 0;) task(context, i);
  }
};

std::unique_ptr<Backend> backend(std::shared_ptr<Runtime> runtime) {
  return cpu::new_cpu_backend(std::move(runtime), isa_under_test()).value();
}

bool same(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// Shapes that between them use every activation form, tile remainder and cache type.
struct Case {
  PlanShape shape;
  CacheType type;
};

std::vector<Case> cases() {
  PlanShape floats;
  floats.heads = 14;
  floats.head_dim = 6;
  floats.rope.dims = 6;
  PlanShape grouped = floats;
  grouped.width = 64;
  grouped.heads = 16;
  grouped.head_dim = 20;
  grouped.rope.dims = 20;
  grouped.ff = 96;
  grouped.format = "q8_0";
  PlanShape super = floats;
  super.width = super.ff = 256;
  super.heads = super.kv_heads = 4;
  super.head_dim = 64;
  super.rope.dims = 64;
  super.rope.interleaved = true;
  super.format = "q4_k";
  super.value_format = "q6_k";
  PlanShape brain = floats;
  brain.kv_heads = 1;
  brain.width = 300;  // records in two slices
  brain.format = "bf16";
  const auto mixture = [](PlanShape shape, int experts, int active) {
    shape.layers = 1;
    shape.experts = experts;
    shape.active = active;
    return shape;
  };
  std::vector<Case> all = {{floats, CacheType::f32},
                           {grouped, CacheType::bf16},
                           {super, CacheType::f16},
                           {brain, CacheType::bf16},
                           {grouped, CacheType::q8_0},
                           {super, CacheType::q4_0},
                           {mixture(floats, 5, 2), CacheType::f32},
                           {mixture(grouped, 24, 3), CacheType::f16},
                           {mixture(super, 4, 1), CacheType::f16},
                           {mixture(brain, 3, 3), CacheType::bf16}};
  if (isa_under_test() == Isa::scalar) return all;
  // Attention in pairs.
  PlanShape wide = floats;  // one row alone has more than a tile of query vectors
  wide.heads = 33;
  wide.kv_heads = 1;
  wide.head_dim = 36;
  wide.rope.dims = 32;
  PlanShape eight = floats;
  eight.heads = 8;
  eight.kv_heads = 1;
  eight.head_dim = 64;
  eight.rope.dims = 64;
  for (const PlanShape& shape : {super, wide, eight, floats})
    all.push_back({shape, CacheType::bf16});
  return all;
}

// The whole text in one step, on one thread: what everything else is compared with.
std::vector<float> expected(const Case& c, const RandomModel& model,
                            const std::vector<int>& tokens) {
  Rig rig(backend(runtime_of(1)), model, c.type, kCapacity);
  return rig.run(tokens, {{0, 0, kLength}});
}

}  // namespace

TEST_CASE("Threads do not change a bit", "[cpu][bits]") {
  for (const Case& c : cases()) {
    const auto model = PlanMaker::make(c.shape);
    const auto tokens = random_tokens(kLength, c.shape.vocab);
    const auto truth = expected(c, *model, tokens);
    for (const int threads : {2, 3}) {
      Rig rig(backend(runtime_of(threads)), *model, c.type, kCapacity);
      CHECK(same(truth, rig.run(tokens, {{0, 0, kLength}})));
    }
    RuntimeOptions options;
    options.host.executor = std::make_shared<InlineExecutor>();
    Rig rig(backend(Runtime::create(options).value()), *model, c.type, kCapacity);
    CHECK(same(truth, rig.run(tokens, {{0, 0, kLength}})));
  }
}

TEST_CASE("The pieces of a prompt do not change a bit", "[cpu][bits]") {
  for (const Case& c : cases()) {
    const auto model = PlanMaker::make(c.shape);
    const auto tokens = random_tokens(kLength, c.shape.vocab);
    const auto truth = expected(c, *model, tokens);
    const auto vocab = static_cast<std::size_t>(c.shape.vocab);
    for (const int threads : {1, 3}) {
      for (const int piece : {1, 7, 32, 200}) {
        // Single rows where they matter: around the borders of a page, a block of keys and a split.
        const int from = piece == 1 ? 505 : 0;
        Rig rig(backend(runtime_of(threads)), *model, c.type, kCapacity);
        if (from > 0) rig.run(tokens, {{0, 0, from}});
        for (int first = from; first < kLength; first += piece) {
          const int count = std::min(piece, kLength - first);
          const auto out = rig.run(tokens, {{0, first, count}});
          CAPTURE(threads, piece, first, c.shape.format);
          REQUIRE(same(
              out, std::span(truth).subspan(static_cast<std::size_t>(first) * vocab, out.size())));
        }
      }
    }
  }
}

TEST_CASE("Company does not change a bit", "[cpu][bits]") {
  for (const Case& c : cases()) {
    const auto model = PlanMaker::make(c.shape);
    const auto tokens = random_tokens(kLength, c.shape.vocab);
    const auto truth = expected(c, *model, tokens);
    const auto vocab = static_cast<std::size_t>(c.shape.vocab);
    Rig rig(backend(runtime_of(2)), *model, c.type, kCapacity);
    // (sequence, length so far) of steps in which four copies of the text advance unevenly.
    const std::vector<std::vector<Rig::Chunk>> steps = {
        {{0, 0, 33}, {1, 0, 5}, {2, 0, 300}, {3, 0, 64}},
        {{0, 33, 1}, {1, 5, 1}, {2, 300, 1}, {3, 64, 1}},
        {{0, 34, 1}, {1, 6, 250}, {2, 301, 212}, {3, 65, 1}},
        {{2, 513, 1}, {3, 66, 100}},
        {{0, 35, 480}, {1, 256, 2}, {2, 514, 3}},
    };
    for (const auto& step : steps) {
      const auto out = rig.run(tokens, step);
      std::size_t at = 0;
      for (const Rig::Chunk& chunk : step) {
        const std::size_t size = static_cast<std::size_t>(chunk.count) * vocab;
        CAPTURE(chunk.sequence, chunk.first);
        CHECK(same(std::span(out).subspan(at, size),
                   std::span(truth).subspan(static_cast<std::size_t>(chunk.first) * vocab, size)));
        at += size;
      }
    }
  }
}

TEST_CASE("Rows that nobody asks for are left out of the last blocks, and change nothing",
          "[cpu][bits]") {
  for (const std::size_t index : {0, 3, 6, 9}) {  // floats, and BF16 in slices; and experts of both
    const Case c = cases()[index];
    const auto model = PlanMaker::make(c.shape);
    const auto tokens = random_tokens(kLength, c.shape.vocab);
    const auto truth = expected(c, *model, tokens);
    const auto vocab = static_cast<std::size_t>(c.shape.vocab);
    Rig rig(backend(runtime_of(2)), *model, c.type, kCapacity);
    std::vector<Row> rows;
    for (int i = 0; i < kLength; ++i)
      rows.push_back({tokens[static_cast<std::size_t>(i)], 0, i, 0, i + 1, i});
    const std::span<const PageId> table = rig.table(0);
    const Sequence sequence{{&table, 1}};
    const std::vector<std::vector<int>> choices = {
        {}, {kLength - 1}, {0}, {3, 4, 5, 77, 78, 511, 512, kLength - 1}};
    for (const auto& wanted : choices) {
      std::vector<std::vector<float>> out(wanted.size(), std::vector<float>(vocab));
      std::vector<Output> outputs;
      for (std::size_t i = 0; i < wanted.size(); ++i)
        outputs.push_back({wanted[i], Want::logits, out[i]});
      rig.program().start({rows, {&sequence, 1}, {}}, outputs).value();
      rig.program().work(Clock::time_point::max()).value();
      rig.program().finish().value();
      for (std::size_t i = 0; i < wanted.size(); ++i)
        CHECK(same(out[i],
                   std::span(truth).subspan(static_cast<std::size_t>(wanted[i]) * vocab, vocab)));
    }
  }
}

TEST_CASE("Work that a deadline cuts into blocks gives the same bits", "[cpu][bits]") {
  const Case c = cases()[1];
  const auto model = PlanMaker::make(c.shape);
  const auto tokens = random_tokens(kLength, c.shape.vocab);
  const auto truth = expected(c, *model, tokens);
  Rig rig(backend(runtime_of(2)), *model, c.type, kCapacity);
  CHECK(same(truth, rig.run(tokens, {{0, 0, kLength}}, Want::logits, Clock::time_point())));
  CHECK(rig.interruptions == static_cast<int>(model->plan.blocks.size()) - 1);
}
