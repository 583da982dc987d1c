// The inside of Runtime: options after checking, the thread team, and the one door through which
// large blocks are taken.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "src/base/team.h"
#include "tyto/host.h"
#include "tyto/result.h"

namespace tyto {

// A large block of memory from the host's allocator, or our own. Zeroed, 4096-byte aligned.
class LargeBlock {
 public:
  LargeBlock() = default;
  LargeBlock(LargeBlock&& other) noexcept { swap(other); }
  LargeBlock& operator=(LargeBlock&& other) noexcept {
    swap(other);
    return *this;
  }
  ~LargeBlock();
  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }

 private:
  friend struct Runtime::Impl;
  void swap(LargeBlock& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(runtime_, other.runtime_);
  }
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::shared_ptr<Runtime> runtime_;
};

struct TYTO_LOCAL Runtime::Impl {
  RuntimeOptions options;
  std::unique_ptr<Team> team;
  std::atomic<std::uint64_t> used{0};  // bytes of large blocks

  // `no_memory` names `what` and the bytes; over the memory budget is `limit`.
  static Result<LargeBlock> allocate(const std::shared_ptr<Runtime>& runtime, std::uint64_t bytes,
                                     std::string_view what);
  void log(LogLevel level, std::string_view line) const noexcept {
    if (options.host.log) options.host.log->write(level, line);
  }
  void trace(std::string_view name, Clock::time_point begin, std::uint64_t bytes) const noexcept {
    if (options.host.trace) options.host.trace->span(name, begin, Clock::now(), bytes);
  }
};

}  // namespace tyto
