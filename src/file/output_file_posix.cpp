#include "src/file/posix.h"
// then:
#include <sys/stat.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "src/file/output_file.h"

namespace tyto::file {
namespace {

class PosixOutputFile final : public OutputFile {
 public:
  PosixOutputFile(std::string path, std::string part, Descriptor file, std::uint64_t size) noexcept
      : path_(std::move(path)), part_(std::move(part)), file_(std::move(file)), size_(size) {}
  ~PosixOutputFile() override {
    if (!committed_) ::unlink(part_.c_str());
  }

  Result<std::uint64_t> size() const override { return size_; }
  Result<> read(std::uint64_t offset, std::span<std::byte> into) const override {
    return read_file(file_, size_, offset, into);
  }

  Result<> write(std::uint64_t offset, std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const std::size_t piece = std::min(bytes.size(), kLargestTransfer);
      const ssize_t put = retry(
          [&] { return ::pwrite(file_.get(), bytes.data(), piece, static_cast<off_t>(offset)); });
      if (put <= 0) return failed(errno);
      offset += static_cast<std::uint64_t>(put);
      bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return {};
  }

  Result<> commit() override {
    if (retry([&] { return ::fsync(file_.get()); }) != 0) return failed(errno);
    if (::rename(part_.c_str(), path_.c_str()) != 0) return failed(errno);
    committed_ = true;
    return {};
  }

  Result<> reserve() const {
#if defined(__linux__)
    const int error = ::posix_fallocate(file_.get(), 0, static_cast<off_t>(size_));
    if (error == 0) return {};
    if (error != EINVAL && error != EOPNOTSUPP) return failed(error);
#endif
    if (::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) return failed(errno);
    return {};
  }

 private:
  Error failed(int error) const { return fail(ErrorCode::io, "{}: {}", path_, reason(error)); }

  const std::string path_, part_;
  const Descriptor file_;
  const std::uint64_t size_;
  bool committed_ = false;
};

}  // namespace

Result<std::unique_ptr<OutputFile>> OutputFile::create(std::string_view utf8_path,
                                                       std::uint64_t bytes) {
  static std::atomic<unsigned> files{0};
  constexpr int kAttempts = 100;  // names that another machine may have taken on a shared disk
  const std::string path(utf8_path);
  if (path.empty() || path.find('\0') != std::string::npos)
    return fail(ErrorCode::bad_argument, "a path is empty, or holds a zero byte");
  int error = 0;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::string part = fmt::format("{}.{}-{}.part", path, ::getpid(), files.fetch_add(1));
    Descriptor file(
        retry([&] { return ::open(part.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666); }));
    error = errno;
    if (file.get() < 0 && error == EEXIST) continue;
    if (file.get() < 0) break;
    auto made = std::make_unique<PosixOutputFile>(path, std::move(part), std::move(file), bytes);
    TYTO_TRY(made->reserve());
    return std::unique_ptr<OutputFile>(std::move(made));
  }
  return fail(ErrorCode::io, "{}: {}", path,
              error == ENOENT ? "no such folder" : reason(error));  // the file itself is new
}

}  // namespace tyto::file
