#include "src/base/bytes.h"

#include <algorithm>

namespace tyto {

Result<> ByteReader::need(std::uint64_t bytes) const {
  if (bytes <= remaining()) return {};
  return fail(ErrorCode::bad_file,
              "{}: the file ends inside {}: {} bytes wanted at offset {}, the file has {}", name_,
              what_, bytes, position_, size_);
}

Result<> ByteReader::fetch(std::uint64_t offset, std::span<std::byte> into) const {
  const Result<> done = source_.read(offset, into);
  if (done) return {};
  return fail(done.error().code(), "{}: reading {}: {}", name_, what_, done.error().message());
}

// Moves the window so that it holds the next `bytes`, at most kWindow.
Result<> ByteReader::fill(std::uint64_t bytes) {
  TYTO_TRY(need(bytes));
  window_.clear();  // a failed fetch leaves no half-filled window
  std::vector<std::byte> next = std::move(window_);
  next.resize(static_cast<std::size_t>(std::min(kWindow, remaining())));
  TYTO_TRY(fetch(position_, next));
  window_ = std::move(next);
  window_begin_ = position_;
  return {};
}

Result<> ByteReader::read(std::span<std::byte> into) {
  TYTO_TRY(need(into.size()));
  if (into.size() >= kWindow) {
    TYTO_TRY(fetch(position_, into));
  } else if (!into.empty()) {
    if (!in_window(into.size())) TYTO_TRY(fill(into.size()));
    std::memcpy(into.data(), window_.data() + (position_ - window_begin_), into.size());
  }
  position_ += into.size();
  return {};
}

Result<> ByteReader::skip(std::uint64_t bytes) {
  TYTO_TRY(need(bytes));
  position_ += bytes;
  return {};
}

}  // namespace tyto
