// A GGUF file, or the shards of a split one, as a ModelFile.
#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "src/base/checked.h"
#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/file/gguf_header.h"
#include "src/file/gguf_split.h"
#include "src/file/quoted.h"
#include "src/file/tensor_source.h"

namespace tyto::file {
namespace {

class GgufFile : public ModelFile {
 public:
  explicit GgufFile(std::string_view name) : name_(name) {}

  Result<> open(std::shared_ptr<const FileSource> first, const FileSystem* files);
  Result<> open(std::span<const std::shared_ptr<const FileSource>> shards);

  std::span<const TensorInfo> tensors() const noexcept override { return tensors_; }
  const TensorInfo* find(std::string_view name) const noexcept override;
  Result<> read(const TensorInfo& tensor, std::uint64_t offset,
                std::span<std::byte> into) const override;
  const Metadata& metadata() const noexcept override { return *metadata_; }
  std::string_view name() const noexcept override { return name_; }
  std::uint64_t header_bytes() const noexcept override { return header_bytes_; }
  std::string fingerprint() const override;
  std::span<const Part> parts() const noexcept override { return shards_; }

 private:
  Result<std::uint64_t> open_first(std::shared_ptr<const FileSource> source);  // how many there are
  Result<> open_other(std::shared_ptr<const FileSource> source, std::string_view name,
                      std::uint64_t index, std::uint64_t count);
  void add_tensors(GgufHeader header, std::shared_ptr<const FileSource> source);
  Result<> check_count() const;
  Result<> index_names();  // a tensor that appears twice is bad_file

  std::string name_;
  std::vector<Part> shards_;
  std::unique_ptr<GgufMetadata> metadata_;  // the first shard's
  std::vector<TensorInfo> tensors_;
  std::vector<GgufPlace> places_;       // of tensors_
  std::vector<std::uint32_t> by_name_;  // indices into tensors_, sorted by name
  std::uint64_t header_bytes_ = 0;
};

Result<> GgufFile::open(std::shared_ptr<const FileSource> first, const FileSystem* files) {
  TYTO_TRY(const std::uint64_t count, open_first(std::move(first)));
  if (count > 1 && files == nullptr)
    return fail(ErrorCode::unsupported,
                "{}: the first of {} split files, which are loaded by path only", name_, count);
  for (std::uint64_t i = 1; i < count; ++i) {
    TYTO_TRY(const std::string shard, shard_name(name_, i, count));
    auto source = files->open(shard);
    if (!source)
      return fail(source.error().code(), "{}: file {} of {} cannot be opened: {}", name_, i + 1,
                  count, source.error().message());
    if (!*source) return fail(ErrorCode::io, "{}: the FileSystem answered no FileSource", shard);
    TYTO_TRY(open_other(*std::move(source), shard, i, count));
  }
  if (count > 1) TYTO_TRY(check_count());
  return index_names();
}

Result<> GgufFile::open(std::span<const std::shared_ptr<const FileSource>> shards) {
  TYTO_TRY(const std::uint64_t count, open_first(shards.front()));
  if (count != shards.size())
    return fail(ErrorCode::bad_file, "{}: the first of {} split files, but there are {}", name_,
                count, shards.size());
  for (std::uint64_t i = 1; i < count; ++i) TYTO_TRY(open_other(shards[i], name_, i, count));
  if (count > 1) TYTO_TRY(check_count());
  return index_names();
}

Result<std::uint64_t> GgufFile::open_first(std::shared_ptr<const FileSource> source) {
  TYTO_TRY(GgufHeader header, read_gguf_header(*source, name_));
  TYTO_TRY(const std::uint64_t count, split_count(*header.metadata, name_));
  metadata_ = std::move(header.metadata);
  add_tensors(std::move(header), std::move(source));
  return count;
}

Result<> GgufFile::open_other(std::shared_ptr<const FileSource> source, std::string_view name,
                              std::uint64_t index, std::uint64_t count) {
  TYTO_TRY(GgufHeader header, read_gguf_header(*source, name));
  TYTO_TRY(check_shard(*header.metadata, name, index, count));
  add_tensors(std::move(header), std::move(source));
  if (tensors_.size() <= kMaxTensors) return {};
  return fail(ErrorCode::limit, "{}: more than {} tensors", name, kMaxTensors);
}

Result<> GgufFile::check_count() const {
  TYTO_TRY(const std::uint64_t expected,
           metadata_->integer_or("split.tensors.count", tensors_.size()));
  if (expected == tensors_.size()) return {};
  return fail(ErrorCode::bad_file,
              "{}: {} tensors in {} files, but key 'split.tensors.count' is {}", name_,
              tensors_.size(), shards_.size(), expected);
}

void GgufFile::add_tensors(GgufHeader header, std::shared_ptr<const FileSource> source) {
  for (GgufPlace& place : header.places) place.shard = static_cast<std::uint32_t>(shards_.size());
  std::move(header.tensors.begin(), header.tensors.end(), std::back_inserter(tensors_));
  places_.insert(places_.end(), header.places.begin(), header.places.end());
  header_bytes_ += header.bytes;
  shards_.push_back({std::move(source), header.bytes});
}

Result<> GgufFile::index_names() {
  by_name_.resize(tensors_.size());
  std::iota(by_name_.begin(), by_name_.end(), 0u);
  std::sort(by_name_.begin(), by_name_.end(),
            [&](std::uint32_t a, std::uint32_t b) { return tensors_[a].name < tensors_[b].name; });
  const auto twin = std::adjacent_find(
      by_name_.begin(), by_name_.end(),
      [&](std::uint32_t a, std::uint32_t b) { return tensors_[a].name == tensors_[b].name; });
  if (twin == by_name_.end()) return {};
  return fail(ErrorCode::bad_file, "{}: tensor {} appears twice", name_,
              quoted(tensors_[*twin].name));
}

const TensorInfo* GgufFile::find(std::string_view name) const noexcept {
  const auto at =
      std::lower_bound(by_name_.begin(), by_name_.end(), name,
                       [&](std::uint32_t i, std::string_view n) { return tensors_[i].name < n; });
  return at != by_name_.end() && tensors_[*at].name == name ? &tensors_[*at] : nullptr;
}

Result<> GgufFile::read(const TensorInfo& tensor, std::uint64_t offset,
                        std::span<std::byte> into) const {
  const TensorInfo* const first = tensors_.data();
  if (std::less<>()(&tensor, first) || !std::less<>()(&tensor, first + tensors_.size()))
    return fail(ErrorCode::bad_argument, "{}: tensor {} is of another file", name_,
                quoted(tensor.name));
  if (!(Checked(offset) + Checked(into.size()) <= Checked(tensor.bytes)))
    return fail(ErrorCode::bad_argument,
                "{}: {} bytes wanted at offset {} of tensor {}, which has {}", name_, into.size(),
                offset, quoted(tensor.name), tensor.bytes);
  const GgufPlace& place = places_[static_cast<std::size_t>(&tensor - first)];
  const Result<> done = shards_[place.shard].source->read(place.offset + offset, into);
  if (done) return {};
  return fail(done.error().code(), "{}: reading tensor {}: {}", name_, quoted(tensor.name),
              done.error().message());
}

std::string GgufFile::fingerprint() const {
  Hash128 hash;
  metadata_->hash_into(hash);
  hash.update(std::uint64_t{tensors_.size()});
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const TensorInfo& tensor = tensors_[i];
    hash.update(std::uint64_t{tensor.name.size()});
    hash.update(std::as_bytes(std::span(tensor.name)));
    hash.update(std::uint64_t{tensor.shape.size()});
    hash.update(std::as_bytes(std::span(tensor.shape)));
    hash.update(std::uint64_t{places_[i].type});
    hash.update(std::uint64_t{places_[i].shard});
    hash.update(places_[i].offset);
  }
  return hash.hex();
}

}  // namespace

Result<std::unique_ptr<ModelFile>> open_gguf(std::shared_ptr<const FileSource> source,
                                             std::string_view name, const FileSystem* files) {
  if (!source) return fail(ErrorCode::bad_argument, "{}: no FileSource was given", name);
  auto file = std::make_unique<GgufFile>(name);
  TYTO_TRY(file->open(std::move(source), files));
  return std::unique_ptr<ModelFile>(std::move(file));
}

Result<std::unique_ptr<ModelFile>> open_gguf(
    std::span<const std::shared_ptr<const FileSource>> shards, std::string_view name) {
  auto file = std::make_unique<GgufFile>(name);
  TYTO_TRY(file->open(shards));
  return std::unique_ptr<ModelFile>(std::move(file));
}

}  // namespace tyto::file
