#include <atomic>
#include <cstdlib>

#include "tests/catch.h"
#include "tests/tiny_model.h"
#include "tyto/tyto.h"

using namespace tyto;
using namespace tyto::test;

namespace {

class CountingAllocator : public Allocator {
 public:
  void* allocate(std::size_t bytes, std::size_t alignment) noexcept override {
    if (bytes > left) return nullptr;
    held += bytes;
    left -= bytes;
    return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  }
  void deallocate(void* block, std::size_t bytes) noexcept override {
    held -= bytes;
    left += bytes;
    std::free(block);
  }
  std::atomic<std::size_t> held{0};
  std::atomic<std::size_t> left{std::size_t{1} << 40};
};

std::uint64_t total(const MemoryPlan& plan) {
  std::uint64_t bytes = 0;
  for (const MemoryPlan::Device& device : plan.devices)
    bytes += device.weights + device.cache + device.workspace;
  return bytes;
}

}  // namespace

TEST_CASE("The memory plan is what is then allocated, to the byte", "[model][memory]") {
  const auto allocator = std::make_shared<CountingAllocator>();
  for (const char* device : {"cpu", "reference"})
    for (const int threads : {1, 2})
      for (const CacheType type : {CacheType::f32, CacheType::bf16}) {
        ModelOptions options;
        options.device = device;
        options.isa = isa_under_test();
        options.cache_type = type;
        options.cache_tokens = 100;
        options.limits = {.rows = 33, .sequences = 3};
        RuntimeOptions runtime;
        runtime.threads = threads;
        runtime.host.allocator = allocator;
        options.runtime = Runtime::create(runtime).value();
        const auto source = as_source(tiny_file());
        const MemoryPlan plan = Model::plan(source, options).value();
        CHECK(allocator->held == 0);  // a plan takes nothing
        {
          const Model model = Model::load(source, options).value();
          CHECK(allocator->held == total(plan));
          CHECK(total(model.memory()) == total(plan));
          const Session session = model.new_session().value();
          CHECK(allocator->held == total(plan));
        }
        CHECK(allocator->held == 0);
      }
}

TEST_CASE("An allocator that refuses gives no_memory and keeps nothing", "[model][memory]") {
  const auto allocator = std::make_shared<CountingAllocator>();
  RuntimeOptions runtime;
  runtime.host.allocator = allocator;
  ModelOptions options;
  options.isa = isa_under_test();
  options.runtime = Runtime::create(runtime).value();
  const std::uint64_t needed = total(Model::plan(as_source(tiny_file()), options).value());
  for (std::uint64_t room = 0; room < needed; room += needed / 7) {
    allocator->left = room;
    const auto model = load_tiny(options);
    REQUIRE_FALSE(model);
    CHECK(model.error().code() == ErrorCode::no_memory);
    CHECK(allocator->held == 0);
  }
  allocator->left = needed;
  CHECK(load_tiny(options));
}

TEST_CASE("A memory budget that the model exceeds is `limit`", "[model][memory]") {
  RuntimeOptions runtime;
  runtime.memory_budget = 1 << 16;
  ModelOptions options;
  options.runtime = Runtime::create(runtime).value();
  CHECK(load_tiny(options).error().code() == ErrorCode::limit);
}

TEST_CASE("Options out of range are bad_argument", "[model]") {
  const auto code_of = [](ModelOptions options) { return load_tiny(options).error().code(); };
  CHECK(code_of({.device = "tpu"}) == ErrorCode::bad_argument);
  CHECK(code_of({.device = "cuda"}) == ErrorCode::unsupported);
  CHECK(code_of({.cache_tokens = 0}) == ErrorCode::bad_argument);
  CHECK(code_of({.limits = {.rows = 0}}) == ErrorCode::bad_argument);
  CHECK(code_of({.limits = {.rows = 1, .sequences = -1}}) == ErrorCode::bad_argument);
  CHECK(Runtime::create({.threads = -1}).error().code() == ErrorCode::bad_argument);
  CHECK(Model::load(std::shared_ptr<const FileSource>()).error().code() == ErrorCode::bad_argument);
}

TEST_CASE("A progress callback sees the load grow to its end, and can cancel it", "[model]") {
  ModelOptions options;
  options.isa = isa_under_test();
  float last = 0;
  options.progress = [&](float fraction) {
    CHECK(fraction >= last);
    last = fraction;
    return true;
  };
  CHECK(load_tiny(options));
  CHECK(last == 1.0f);
  options.progress = [](float) { return false; };
  CHECK(load_tiny(options).error().code() == ErrorCode::cancelled);
}

TEST_CASE("A model says what it is", "[model]") {
  const Model model = load_tiny({.isa = isa_under_test()}).value();
  CHECK(model.describe().starts_with("llama "));
  CHECK(model.describe().find(" f32 on cpu ") != std::string_view::npos);
  CHECK(model.fingerprint().size() == 32);
  CHECK(model.fingerprint() == load_tiny({.device = "reference"})->fingerprint());
  CHECK(model.fingerprint() !=
        load_tiny({}, {.ff = 64, .weight_type = kF32, .table_type = kF32})->fingerprint());
  CHECK(model.context_length() == 128);
  CHECK(model.vocab_size() == 300);
}
