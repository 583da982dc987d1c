// Reading a file's headers: little-endian values and runs of bytes, never past the end, through a
// small window so that the FileSource is asked for large pieces only.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "src/base/error.h"
#include "tyto/host.h"
#include "tyto/result.h"

namespace tyto {

static_assert(std::endian::native == std::endian::little,
              "files and memory are both little-endian");

class ByteReader {
 public:
  // `size` is the source's. Source and name must outlive the reader.
  ByteReader(const FileSource& source, std::uint64_t size, std::string_view name) noexcept
      : source_(source), size_(size), name_(name) {}

  std::string_view name() const noexcept { return name_; }
  std::uint64_t position() const noexcept { return position_; }
  std::uint64_t remaining() const noexcept { return size_ - position_; }

  // What is being read from here on. A file that ends too early is bad_file, and its message says
  // this.
  void expect(std::string what) { what_ = std::move(what); }

  template <class T>
  requires std::is_arithmetic_v<T> Result<T> value() {
    if (!in_window(sizeof(T))) TYTO_TRY(fill(sizeof(T)));
    T value;
    std::memcpy(&value, window_.data() + (position_ - window_begin_), sizeof(T));
    position_ += sizeof(T);
    return value;
  }
  Result<> read(std::span<std::byte> into);
  Result<> skip(std::uint64_t bytes);
  // Back to where position() was.
  void rewind(std::uint64_t position) noexcept { position_ = position; }

 private:
  static constexpr std::uint64_t kWindow = std::uint64_t{1} << 16;

  bool in_window(std::uint64_t bytes) const noexcept {
    if (position_ < window_begin_) return false;
    const std::uint64_t before = position_ - window_begin_;
    return before <= window_.size() && bytes <= window_.size() - before;
  }
  Result<> need(std::uint64_t bytes) const;
  Result<> fill(std::uint64_t bytes);
  Result<> fetch(std::uint64_t offset, std::span<std::byte> into) const;

  const FileSource& source_;
  std::uint64_t size_;
  std::string_view name_;
  std::string what_;
  std::uint64_t position_ = 0;      // never past size_
  std::uint64_t window_begin_ = 0;  // offset of window_ in the file
  std::vector<std::byte> window_;
};

}  // namespace tyto
