#include "src/runtime.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "src/base/error.h"
#include "src/base/pool_cores.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace tyto {
namespace {

constexpr std::size_t kAlignment = 4096;

#if defined(__linux__)
constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Fresh pages are zero, and are not resident before they are touched. Blocks of many huge pages
// begin at one.
void* take_pages(std::size_t bytes) noexcept {
  const bool huge = bytes >= 4 * kHugePage;
  const std::size_t mapped = huge ? bytes + kHugePage : bytes;
  if (mapped < bytes) return nullptr;
  void* const map =
      ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) return nullptr;
  if (!huge) return map;
  auto* const begin = static_cast<std::byte*>(map);
  const std::size_t skipped =
      (kHugePage - reinterpret_cast<std::uintptr_t>(begin) % kHugePage) % kHugePage;
  const std::size_t used = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (skipped > 0) ::munmap(begin, skipped);
  if (skipped + used < mapped) ::munmap(begin + skipped + used, mapped - skipped - used);
  ::madvise(begin + skipped, used, MADV_HUGEPAGE);
  return begin + skipped;
}
void give_pages(void* block, std::size_t bytes) noexcept { ::munmap(block, bytes); }
#else
void* take_pages(std::size_t bytes) noexcept {
  void* const block = ::operator new(bytes, std::align_val_t(kAlignment), std::nothrow);
  if (block != nullptr) std::memset(block, 0, bytes);
  return block;
}
void give_pages(void* block, std::size_t) noexcept {
  ::operator delete(block, std::align_val_t(kAlignment));
}
#endif

// Counts `bytes` in, unless that would exceed a budget (0: none).
bool reserve(std::atomic<std::uint64_t>& used, std::uint64_t bytes, std::uint64_t budget) noexcept {
  std::uint64_t before = used.load(std::memory_order_relaxed);
  do {
    if (budget != 0 && (before > budget || bytes > budget - before)) return false;
  } while (!used.compare_exchange_weak(before, before + bytes, std::memory_order_relaxed));
  return true;
}

Result<std::unique_ptr<Team>> new_team(const RuntimeOptions& options) {
  if (options.threads < 0)
    return fail(ErrorCode::bad_argument, "threads is {}; it must not be negative", options.threads);
  if (options.spin < options.spin.zero() || options.spin > std::chrono::seconds(1))
    return fail(ErrorCode::bad_argument, "spin is {} microseconds; expected 0 to 1000000",
                options.spin.count());
  if (options.host.executor) return new_executor_team(options.host.executor);
  const int cores = usable_cores();
  const int threads =
      options.threads == 0 ? std::min(cores, kMostThreads) : std::min(options.threads, cores);
  return new_pool(threads, options.pin, options.spin);
}

}  // namespace

LargeBlock::~LargeBlock() {
  if (data_ == nullptr) return;
  Runtime::Impl& impl = runtime_->impl();
  if (impl.options.host.allocator) {
    impl.options.host.allocator->deallocate(data_, size_);
  } else {
    give_pages(data_, size_);
  }
  impl.used.fetch_sub(size_, std::memory_order_relaxed);
}

Result<LargeBlock> Runtime::Impl::allocate(const std::shared_ptr<Runtime>& runtime,
                                           std::uint64_t bytes, std::string_view what) {
  LargeBlock block;
  if (bytes == 0) return block;
  Impl& impl = runtime->impl();
  if (bytes > PTRDIFF_MAX) return fail(ErrorCode::no_memory, "{}: {} bytes", what, bytes);
  if (!reserve(impl.used, bytes, impl.options.memory_budget))
    return fail(ErrorCode::limit,
                "{}: {} bytes do not fit the memory budget of {}, of which {} are in use", what,
                bytes, impl.options.memory_budget, impl.used.load(std::memory_order_relaxed));
  const auto size = static_cast<std::size_t>(bytes);
  Allocator* const host = impl.options.host.allocator.get();
  void* const data = host ? host->allocate(size, kAlignment) : take_pages(size);
  if (data == nullptr) {
    impl.used.fetch_sub(bytes, std::memory_order_relaxed);
    return fail(ErrorCode::no_memory, "{}: no room for {} bytes", what, bytes);
  }
  block.data_ = static_cast<std::byte*>(data);
  block.size_ = size;
  block.runtime_ = runtime;
  if (reinterpret_cast<std::uintptr_t>(data) % kAlignment != 0)
    return fail(ErrorCode::bad_argument,
                "{}: the host's allocator answered a block that is not aligned to {} bytes", what,
                kAlignment);
  if (host) std::memset(data, 0, size);
  return block;
}

inline namespace v1 {

Runtime::Runtime(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Runtime::~Runtime() = default;
int Runtime::threads() const noexcept { return impl_->team->workers(); }

Result<std::shared_ptr<Runtime>> Runtime::create(const RuntimeOptions& options) {
  return guarded([&]() -> Result<std::shared_ptr<Runtime>> {
    auto impl = std::make_unique<Impl>();
    impl->options = options;
    TYTO_TRY(impl->team, new_team(options));
    return std::make_shared<Runtime>(std::move(impl));
  });
}

}  // namespace v1
}  // namespace tyto
