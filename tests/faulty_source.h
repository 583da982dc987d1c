// A FileSource that fails at one read.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "tyto/host.h"

namespace tyto::test {

class FaultySource : public FileSource {
 public:
  // Read number `fails` (from 0) fails with io.
  FaultySource(std::shared_ptr<const FileSource> source, std::int64_t fails)
      : source_(std::move(source)), fails_(fails) {}

  Result<std::uint64_t> size() const override { return source_->size(); }
  Result<> read(std::uint64_t offset, std::span<std::byte> into) const override {
    if (reads_++ == fails_) return Error(ErrorCode::io, "the disk is gone");
    return source_->read(offset, into);
  }
  std::int64_t reads() const noexcept { return reads_; }

 private:
  std::shared_ptr<const FileSource> source_;
  std::int64_t fails_;
  mutable std::atomic<std::int64_t> reads_{0};
};

}  // namespace tyto::test
