// What the files of a POSIX system need, to read and to write.
#pragma once
#define _FILE_OFFSET_BITS 64  // files above 2 GiB on 32-bit systems; before any system header
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "src/base/checked.h"
#include "src/base/error.h"
#include "tyto/result.h"

namespace tyto::file {

// strerror speaks the locale's language, and is not safe to call from several threads everywhere.
inline std::string reason(int error) {
  switch (error) {
    case ENOENT:
      return "no such file";
    case ENOTDIR:
      return "a part of the path is not a directory";
    case EACCES:
    case EPERM:
      return "permission denied";
    case ELOOP:
      return "too many symbolic links";
    case ENAMETOOLONG:
      return "the name is too long";
    case EMFILE:
    case ENFILE:
      return "too many open files";
    case ENOSPC:
    case EDQUOT:
      return "the disk is full";
    case EROFS:
      return "the file system is read-only";
    case EISDIR:
      return "a directory";
    case EIO:
      return "input/output error";
    default:
      return fmt::format("system error {}", error);
  }
}

template <class Call>
auto retry(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

class Descriptor {
 public:
  explicit Descriptor(int value) noexcept : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  int get() const noexcept { return value_; }

 private:
  int value_;
};

inline constexpr std::size_t kLargestTransfer = std::size_t{1} << 30;  // some refuse 2^31

inline Result<> read_file(const Descriptor& file, std::uint64_t size, std::uint64_t offset,
                          std::span<std::byte> into) {
  if (!(Checked(offset) + Checked(into.size()) <= Checked(size)))
    return fail(ErrorCode::io, "{} bytes wanted at offset {}, but the file has {}", into.size(),
                offset, size);
  while (!into.empty()) {
    const std::size_t piece = std::min(into.size(), kLargestTransfer);
    const ssize_t got =
        retry([&] { return ::pread(file.get(), into.data(), piece, static_cast<off_t>(offset)); });
    if (got < 0) return fail(ErrorCode::io, "{}", reason(errno));
    if (got == 0)
      return fail(ErrorCode::io, "the file now ends at offset {}, it had {} bytes", offset, size);
    offset += static_cast<std::uint64_t>(got);
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

}  // namespace tyto::file
