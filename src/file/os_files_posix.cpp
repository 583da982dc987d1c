// Files of a POSIX system. Only regular files are read: a directory, a pipe or a device has no size
// to check against.
#include "src/file/posix.h"
// then:
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#include "src/base/checked.h"
#include "src/file/tensor_source.h"

namespace tyto::file {
namespace {

class OsFile : public FileSource {
 public:
  OsFile(Descriptor file, std::uint64_t size) noexcept : file_(std::move(file)), size_(size) {}
  ~OsFile() override {
    if (!map_.empty()) ::munmap(const_cast<std::byte*>(map_.data()), map_.size());
  }

  Result<std::uint64_t> size() const override { return size_; }

  Result<> read(std::uint64_t offset, std::span<std::byte> into) const override {
    return read_file(file_, size_, offset, into);
  }

  std::span<const std::byte> map() const noexcept override {
    const std::lock_guard lock(mutex_);
    if (map_.empty() && size_ > 0 && size_ <= std::numeric_limits<std::size_t>::max()) {
      const auto size = static_cast<std::size_t>(size_);
      void* const at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file_.get(), 0);
      if (at != MAP_FAILED) map_ = {static_cast<const std::byte*>(at), size};
    }
    return map_;
  }

  std::int64_t modified() const noexcept override {
    struct stat status;
    if (::fstat(file_.get(), &status) != 0) return 0;
#if defined(__APPLE__)
    const timespec& time = status.st_mtimespec;
#else
    const timespec& time = status.st_mtim;
#endif
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  }

 private:
  Descriptor file_;
  std::uint64_t size_;
  mutable std::mutex mutex_;  // guards what follows, which is made when it is asked for
  mutable std::span<const std::byte> map_;
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
