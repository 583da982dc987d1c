// Files of a POSIX system. Only regular files are read: a directory, a pipe or a device has no size
// to check against.
#define _FILE_OFFSET_BITS 64  // files above 2 GiB on 32-bit systems; before any system header
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "src/base/checked.h"
#include "src/base/error.h"
#include "src/file/tensor_source.h"

namespace tyto::file {
namespace {

// strerror speaks the locale's language, and is not safe to call from several threads everywhere.
std::string reason(int error) {
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

class OsFile : public FileSource {
 public:
  OsFile(Descriptor file, std::uint64_t size) noexcept : file_(std::move(file)), size_(size) {}

  Result<std::uint64_t> size() const override { return size_; }

  Result<> read(std::uint64_t offset, std::span<std::byte> into) const override {
    if (!(Checked(offset) + Checked(into.size()) <= Checked(size_)))
      return fail(ErrorCode::io, "{} bytes wanted at offset {}, but the file has {}", into.size(),
                  offset, size_);
    while (!into.empty()) {
      const std::size_t piece = std::min(into.size(), kLargestRead);
      const ssize_t got = retry(
          [&] { return ::pread(file_.get(), into.data(), piece, static_cast<off_t>(offset)); });
      if (got < 0) return fail(ErrorCode::io, "{}", reason(errno));
      if (got == 0)
        return fail(ErrorCode::io, "the file now ends at offset {}, it had {} bytes", offset,
                    size_);
      offset += static_cast<std::uint64_t>(got);
      into = into.subspan(static_cast<std::size_t>(got));
    }
    return {};
  }

 private:
  static constexpr std::size_t kLargestRead = std::size_t{1}
                                              << 30;  // some systems refuse more than 2^31 - 1

  Descriptor file_;
  std::uint64_t size_;
};

class OsFiles : public FileSystem {
 public:
  Result<std::shared_ptr<const FileSource>> open(std::string_view utf8_path) const override {
    const std::string path(utf8_path);
    if (path.find('\0') != std::string::npos)
      return fail(ErrorCode::bad_argument, "a path holds a zero byte");
    // O_NONBLOCK: opening a pipe must not wait for its writer. It does nothing to a regular file.
    Descriptor file(
        retry([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); }));
    if (file.get() < 0) return fail(ErrorCode::io, "{}: {}", path, reason(errno));
    struct stat status;
    if (::fstat(file.get(), &status) != 0)
      return fail(ErrorCode::io, "{}: {}", path, reason(errno));
    if (S_ISDIR(status.st_mode))
      return fail(ErrorCode::bad_file, "{}: a directory, expected a file", path);
    if (!S_ISREG(status.st_mode))
      return fail(ErrorCode::bad_file, "{}: a pipe, socket or device, expected a regular file",
                  path);
    return std::shared_ptr<const FileSource>(
        std::make_shared<OsFile>(std::move(file), static_cast<std::uint64_t>(status.st_size)));
  }
};

}  // namespace

const FileSystem& os_files() noexcept {
  // Never destroyed: a host may load models from its own static objects' destructors.
  alignas(OsFiles) static std::byte storage[sizeof(OsFiles)];
  static const OsFiles* const files = new (storage) OsFiles;
  return *files;
}

}  // namespace tyto::file
