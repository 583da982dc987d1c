#include <cstring>

#include "src/base/checked.h"
#include "src/base/error.h"
#include "tyto/host.h"

namespace tyto {
inline namespace v1 {
namespace {

class MemorySource : public FileSource {
 public:
  explicit MemorySource(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

  Result<std::uint64_t> size() const override { return bytes_.size(); }

  Result<> read(std::uint64_t offset, std::span<std::byte> into) const override {
    if (!(Checked(offset) + Checked(into.size()) <= Checked(bytes_.size())))
      return fail(ErrorCode::io, "{} bytes wanted at offset {}, but there are {}", into.size(),
                  offset, bytes_.size());
    if (!into.empty()) std::memcpy(into.data(), bytes_.data() + offset, into.size());
    return {};
  }

  std::span<const std::byte> map() const noexcept override { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace

Result<std::shared_ptr<const FileSource>> memory_source(std::span<const std::byte> bytes) {
  if (bytes.data() == nullptr && !bytes.empty())
    return fail(ErrorCode::bad_argument, "memory_source: {} bytes at a null address", bytes.size());
  return guarded([&]() -> Result<std::shared_ptr<const FileSource>> {
    return std::shared_ptr<const FileSource>(std::make_shared<MemorySource>(bytes));
  });
}

}  // namespace v1
}  // namespace tyto
