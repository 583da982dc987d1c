#include "tests/allocations.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "tests/catch.h"
#include "tests/sanitizers.h"

namespace {

std::atomic<std::uint64_t> live{0}, peak{0}, count{0};
std::atomic<std::int64_t> until_failure{-1};  // negative: none is planned
std::atomic<bool> fails_for_ever{false}, failed{false};

}  // namespace

#if !TYTO_THREAD_SANITIZER
namespace {

bool must_fail() noexcept {
  if (until_failure.load(std::memory_order_relaxed) < 0) return false;
  if (until_failure.fetch_sub(1) > 0) return false;
  if (fails_for_ever) until_failure = 0;
  failed = true;
  return true;
}

struct Header {
  void* block;  // what malloc gave
  std::size_t size;
};

void* take(std::size_t size, std::size_t alignment) noexcept {
  if (must_fail()) return nullptr;
  alignment = std::max(alignment, sizeof(Header));
  if (size > SIZE_MAX - 2 * alignment) return nullptr;
  void* block = std::malloc(size + 2 * alignment);
  if (block == nullptr) return nullptr;
  void* at = static_cast<std::byte*>(block) + alignment;
  std::size_t room = size + alignment;
  std::align(alignment, size, at, room);
  static_cast<Header*>(at)[-1] = {block, size};
  ++count;
  const std::uint64_t now = live += size;
  std::uint64_t most = peak;
  while (now > most && !peak.compare_exchange_weak(most, now)) {
  }
  return at;
}

void* take_or_throw(std::size_t size, std::size_t alignment) {
  if (void* block = take(size, alignment)) return block;
  throw std::bad_alloc();
}

void give(void* block) noexcept {
  if (block == nullptr) return;
  const Header header = static_cast<Header*>(block)[-1];
  live -= header.size;
  std::free(header.block);
}

constexpr std::size_t kPlain = alignof(std::max_align_t);

}  // namespace

// The array forms of the standard library call these. The nothrow forms do too, but a sanitizer
// brings its own of them.
void* operator new(std::size_t size) { return take_or_throw(size, kPlain); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return take(size, kPlain); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return take_or_throw(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept { give(block); }
void operator delete(void* block, std::size_t) noexcept { give(block); }
void operator delete(void* block, std::align_val_t) noexcept { give(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { give(block); }
#endif

namespace tyto::test {

AllocationWatch::AllocationWatch() noexcept : count_(::count), live_(::live) { ::peak = live_; }
std::uint64_t AllocationWatch::count() const noexcept { return ::count - count_; }
std::uint64_t AllocationWatch::peak_bytes() const noexcept { return ::peak - live_; }

AllocationFailure::AllocationFailure(std::int64_t fails, bool for_ever) noexcept {
  failed = false;
  fails_for_ever = for_ever;
  until_failure = fails;
}
AllocationFailure::~AllocationFailure() { until_failure = -1; }
bool AllocationFailure::happened() const noexcept { return failed; }

}  // namespace tyto::test

TEST_CASE("Allocations are watched", "[base][allocations]") {
  const tyto::test::AllocationWatch watch;
  { std::vector<char> block(100000); }
  auto wide = std::make_unique<std::byte[]>(7);
  CHECK(watch.count() >= 1);  // a compiler may leave out what is never read
  CHECK(watch.peak_bytes() >= 100000);
  CHECK(watch.peak_bytes() < 101000);
}

TEST_CASE("An allocation fails when it is told to", "[base][allocations]") {
  bool caught = false;
  const tyto::test::AllocationFailure failure(1);
  const auto first = std::make_unique<int>(1);
  try {
    std::make_unique<int>(2);
  } catch (const std::bad_alloc&) {
    caught = true;
  }
  CHECK(caught);
  CHECK(failure.happened());
}
