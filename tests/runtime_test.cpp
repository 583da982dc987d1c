#include "src/runtime.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "src/base/pool_cores.h"
#include "tests/catch.h"

using namespace tyto;

namespace {

// Memory that is anything but zero, and counts.
struct DirtyAllocator : Allocator {
  void* allocate(std::size_t bytes, std::size_t alignment) noexcept override {
    if (refuse) return nullptr;
    auto* block = static_cast<unsigned char*>(
        std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment));
    std::fill(block, block + bytes, 0xAB);
    live += bytes;
    return block;
  }
  void deallocate(void* block, std::size_t bytes) noexcept override {
    live -= bytes;
    std::free(block);
  }
  bool refuse = false;
  std::size_t live = 0;
};

bool zero(const LargeBlock& block) {
  return std::all_of(block.data(), block.data() + block.size(),
                     [](std::byte b) { return b == std::byte{0}; });
}

std::shared_ptr<Runtime> runtime(const RuntimeOptions& options) {
  return Runtime::create(options).value();
}

}  // namespace

TEST_CASE("Threads are clamped to the cores this process may use", "[runtime]") {
  const int cores = usable_cores();
  CHECK(runtime({})->threads() == cores);
  RuntimeOptions options;
  options.threads = 1;
  CHECK(runtime(options)->threads() == 1);
  options.threads = 100000;
  CHECK(runtime(options)->threads() == cores);
}

TEST_CASE("Options out of range are bad arguments", "[runtime]") {
  RuntimeOptions options;
  options.threads = -1;
  CHECK(Runtime::create(options).error().code() == ErrorCode::bad_argument);
  options.threads = 0;
  options.spin = std::chrono::microseconds(-1);
  CHECK(Runtime::create(options).error().code() == ErrorCode::bad_argument);
}

TEST_CASE("Large blocks are zero, aligned and counted", "[runtime]") {
  const auto host = std::make_shared<DirtyAllocator>();
  for (const bool own : {true, false}) {
    RuntimeOptions options;
    if (!own) options.host.allocator = host;
    const auto shared = runtime(options);
    for (const std::uint64_t bytes : {1ull, 5000ull, 9000001ull}) {
      auto block = Runtime::Impl::allocate(shared, bytes, "test").value();
      CHECK(block.size() == bytes);
      CHECK(reinterpret_cast<std::uintptr_t>(block.data()) % 4096 == 0);
      CHECK(zero(block));
      CHECK(shared->impl().used == bytes);
      CHECK(host->live == (own ? 0 : bytes));
      block = LargeBlock();
      CHECK(shared->impl().used == 0);
    }
  }
  CHECK(host->live == 0);
}

TEST_CASE("A block keeps its runtime, and so the host's allocator, alive", "[runtime]") {
  auto host = std::make_shared<DirtyAllocator>();
  RuntimeOptions options;
  options.host.allocator = host;
  auto block = Runtime::Impl::allocate(runtime(options), 100, "test").value();
  CHECK(host->live == 100);
  block = LargeBlock();
  CHECK(host->live == 0);
}

TEST_CASE("No memory and no budget are different errors, and both say what for", "[runtime]") {
  const auto host = std::make_shared<DirtyAllocator>();
  host->refuse = true;
  RuntimeOptions options;
  options.host.allocator = host;
  const auto refused = Runtime::Impl::allocate(runtime(options), 77, "weights").error();
  CHECK(refused.code() == ErrorCode::no_memory);
  CHECK(refused.message() == "weights: no room for 77 bytes");

  options = {};
  options.memory_budget = 1000;
  const auto shared = runtime(options);
  const auto held = Runtime::Impl::allocate(shared, 900, "weights").value();
  const auto over = Runtime::Impl::allocate(shared, 101, "cache").error();
  CHECK(over.code() == ErrorCode::limit);
  CHECK(over.message() ==
        "cache: 101 bytes do not fit the memory budget of 1000, of which 900 are in use");
  CHECK(shared->impl().used == 900);
  CHECK(Runtime::Impl::allocate(shared, 100, "cache").has_value());
  CHECK(Runtime::Impl::allocate(shared, UINT64_MAX, "cache").error().code() ==
        ErrorCode::no_memory);
}
