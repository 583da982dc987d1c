#include "src/file/packed.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "src/base/checked.h"
#include "src/base/error.h"
#include "src/file/content_hash.h"
#include "src/file/quoted.h"

namespace tyto::file {
namespace {

constexpr std::uint64_t kAlignment = 64;  // of weights in memory
constexpr std::uint64_t kReadPiece = std::uint64_t{4} << 20;

template <std::size_t kSize>
std::string_view text(const std::array<char, kSize>& padded) {
  return {padded.data(), std::find(padded.begin(), padded.end(), '\0')};
}

Error named(const Error& error, std::string_view name) {
  return fail(error.code(), "{}: {}", name, error.message());
}

// The first bytes of a file whose others are not there.
class HeaderSource : public FileSource {
 public:
  HeaderSource(std::uint64_t size, std::span<const std::byte> header) noexcept
      : size_(size), header_(header) {}

  Result<std::uint64_t> size() const override { return size_; }
  Result<> read(std::uint64_t offset, std::span<std::byte> into) const override {
    if (!(Checked(offset) + Checked(into.size()) <= Checked(size_)))
      return fail(ErrorCode::io, "{} bytes wanted at offset {}, but there are {}", into.size(),
                  offset, size_);
    const auto from = header_.subspan(std::min<std::uint64_t>(offset, header_.size()));
    const std::size_t here = std::min(from.size(), into.size());
    std::copy_n(from.begin(), here, into.begin());
    std::fill(into.begin() + static_cast<std::ptrdiff_t>(here), into.end(), std::byte{0});
    return {};
  }

 private:
  std::uint64_t size_;
  std::span<const std::byte> header_;
};

// The source's headers, read as those of the source; its tensors' data is not there.
class PackedModel : public ModelFile {
 public:
  PackedModel(std::shared_ptr<const PackedFile> packed, std::unique_ptr<ModelFile> headers)
      : packed_(std::move(packed)), headers_(std::move(headers)) {}

  std::span<const TensorInfo> tensors() const noexcept override { return headers_->tensors(); }
  const TensorInfo* find(std::string_view name) const noexcept override {
    return headers_->find(name);
  }
  Result<> read(const TensorInfo& tensor, std::uint64_t, std::span<std::byte>) const override {
    return fail(ErrorCode::unsupported, "{}: tensor {} is there only as packed for {}", name(),
                quoted(tensor.name), quoted(packed_->table()));
  }
  const Metadata& metadata() const noexcept override { return headers_->metadata(); }
  std::string_view name() const noexcept override { return headers_->name(); }
  std::uint64_t header_bytes() const noexcept override { return headers_->header_bytes(); }
  std::string fingerprint() const override { return headers_->fingerprint(); }
  std::span<const Part> parts() const noexcept override { return headers_->parts(); }
  std::shared_ptr<const PackedFile> packed() const noexcept override { return packed_; }

 private:
  const std::shared_ptr<const PackedFile> packed_;
  const std::unique_ptr<ModelFile> headers_;
};

Result<std::unique_ptr<ModelFile>> open_packed_model(std::shared_ptr<const PackedFile> packed) {
  TYTO_TRY(auto headers, open_gguf(packed->headers(), packed->name()));
  if (headers->fingerprint() != text(packed->header().fingerprint))
    return fail(ErrorCode::bad_file, "{}: its metadata has the fingerprint {}, its header says {}",
                packed->name(), headers->fingerprint(), quoted(text(packed->header().fingerprint)));
  return std::unique_ptr<ModelFile>(
      std::make_unique<PackedModel>(std::move(packed), std::move(headers)));
}

}  // namespace

HashValue hash_header(const PackedHeader& header, std::span<const std::byte> directory) {
  Hash128 hash;
  hash.update(std::as_bytes(std::span(&header, 1)).first(offsetof(PackedHeader, header_hash)));
  hash.update(directory);
  return hash.value();
}

Result<bool> is_packed(const FileSource& source, std::string_view name) {
  const auto size = source.size();
  if (!size) return named(size.error(), name);
  std::array<char, kPackedMagic.size()> magic{};
  if (*size < magic.size()) return false;
  const auto done = source.read(0, std::as_writable_bytes(std::span(magic)));
  if (!done) return named(done.error(), name);
  return magic == kPackedMagic;
}

Result<std::unique_ptr<ModelFile>> open_model(std::shared_ptr<const FileSource> source,
                                              std::string_view name, const FileSystem* files) {
  if (!source) return fail(ErrorCode::bad_argument, "{}: no FileSource was given", name);
  TYTO_TRY(const bool is, is_packed(*source, name));
  if (!is) return open_gguf(std::move(source), name, files);
  TYTO_TRY(auto packed, PackedFile::open(std::move(source), name));
  return open_packed_model(std::move(packed));
}

PackedFile::PackedFile(std::shared_ptr<const FileSource> source, std::string_view name)
    : source_(std::move(source)), name_(name) {}

Result<std::shared_ptr<const PackedFile>> PackedFile::open(std::shared_ptr<const FileSource> source,
                                                           std::string_view name) {
  const std::shared_ptr<PackedFile> file(new PackedFile(std::move(source), name));
  TYTO_TRY(file->read_header());
  return std::shared_ptr<const PackedFile>(file);
}

Result<> PackedFile::read_header() {
  const auto size = source_->size();
  if (!size) return named(size.error(), name_);
  if (*size < sizeof header_)
    return fail(ErrorCode::bad_file, "{}: {} bytes, the header of a packed file has {}", name_,
                *size, sizeof header_);
  const auto done = source_->read(0, std::as_writable_bytes(std::span(&header_, 1)));
  if (!done) return named(done.error(), name_);
  if (header_.magic != kPackedMagic) return fail(ErrorCode::bad_file, "{}: no packed file", name_);
  if (header_.version != kPackedVersion)
    return fail(ErrorCode::unsupported, "{}: a packed file of version {}, only {} is read", name_,
                header_.version, kPackedVersion);
  TYTO_TRY(check_sizes(*size));
  return read_directory();
}

Result<> PackedFile::check_sizes(std::uint64_t file_size) const {
  const Checked weights_end = Checked(header_.weights_offset) + Checked(header_.weights_bytes);
  if (weights_end.get() != file_size)
    return fail(ErrorCode::bad_file, "{}: {} bytes, but by its header {} and {} of weights", name_,
                file_size, header_.weights_offset, header_.weights_bytes);
  const Checked least = Checked(header_.files) * Checked(kPackedPartBytes);
  if (header_.files == 0 || !(least <= Checked(header_.directory_bytes)) ||
      !(Checked(sizeof header_) + Checked(header_.directory_bytes) <=
        Checked(header_.weights_offset)))
    return fail(ErrorCode::bad_file,
                "{}: a directory of {} files in {} bytes, before weights at offset {}", name_,
                header_.files, header_.directory_bytes, header_.weights_offset);
  if (header_.weights_offset % kPackedPage != 0)
    return fail(ErrorCode::bad_file, "{}: weights at offset {}, expected a multiple of {}", name_,
                header_.weights_offset, kPackedPage);
  return {};
}

Result<> PackedFile::read_directory() {
  directory_.resize(static_cast<std::size_t>(header_.directory_bytes));
  const auto done = source_->read(sizeof header_, directory_);
  if (!done) return named(done.error(), name_);
  const HashValue found = hash_header(header_, directory_);
  if (found != header_.header_hash)
    return fail(ErrorCode::bad_file, "{}: header and directory have the hash {}, expected {}",
                name_, hex(found), hex(header_.header_hash));
  Checked at = Checked(header_.files) * Checked(kPackedPartBytes);
  for (std::uint64_t i = 0; i < header_.files; ++i) {
    std::array<std::uint64_t, 2> entry;
    std::memcpy(&entry, directory_.data() + i * kPackedPartBytes, sizeof entry);
    const Part part{entry[0], at.get().value_or(0), entry[1]};
    at = at + Checked(part.bytes);
    if (part.bytes > part.size || !(at <= Checked(directory_.size())))
      return fail(ErrorCode::bad_file,
                  "{}: file {} of its source has {} bytes and a header of {}, in a directory of {}",
                  name_, i, part.size, part.bytes, directory_.size());
    parts_.push_back(part);
  }
  return {};
}

std::string_view PackedFile::table() const noexcept { return text(header_.table); }

std::vector<std::shared_ptr<const FileSource>> PackedFile::headers() const {
  std::vector<std::shared_ptr<const FileSource>> sources;
  for (const Part& part : parts_)
    sources.push_back(std::make_shared<HeaderSource>(
        part.size,
        std::span(directory_)
            .subspan(static_cast<std::size_t>(part.offset), static_cast<std::size_t>(part.bytes))));
  return sources;
}

Result<> PackedFile::check_form(const PackedForm& form) const {
  if (table() != form.table)
    return fail(ErrorCode::mismatch, "{}: packed for {}, expected {}", name_, quoted(table()),
                form.table);
  if (header_.layout != form.version || header_.places != form.places ||
      header_.weights_bytes != form.bytes)
    return fail(
        ErrorCode::mismatch,
        "{}: packed by another version of the library: layout {} of {} bytes ({}), expected "
        "{} of {} ({})",
        name_, header_.layout, header_.weights_bytes, hex(header_.places), form.version, form.bytes,
        hex(form.places));
  return {};
}

Result<> PackedFile::check_source(const ModelFile& model) const {
  TYTO_TRY(const SourceState state, source_state(model));
  const std::string fingerprint = model.fingerprint();
  if (fingerprint == text(header_.fingerprint) && state.bytes == header_.source_bytes &&
      state.modified == header_.source_modified)
    return {};
  return fail(
      ErrorCode::mismatch,
      "{}: made of a file of {} bytes, changed at {}, fingerprint {}; expected {} bytes, {}, "
      "{}",
      name_, header_.source_bytes, header_.source_modified, quoted(text(header_.fingerprint)),
      state.bytes, state.modified, fingerprint);
}

std::span<const std::byte> PackedFile::mapped_weights() const noexcept {
  const std::span<const std::byte> all = source_->map();
  if (all.size() < header_.weights_offset + header_.weights_bytes) return {};
  const auto weights = all.subspan(static_cast<std::size_t>(header_.weights_offset),
                                   static_cast<std::size_t>(header_.weights_bytes));
  return reinterpret_cast<std::uintptr_t>(weights.data()) % kAlignment == 0
             ? weights
             : std::span<const std::byte>();
}

Result<> PackedFile::read_weights(Team& team, const Progress& progress, std::byte* into) const {
  const std::uint64_t bytes = header_.weights_bytes;
  const auto read_one = [&](std::uint64_t index, int) -> Result<> {
    const std::uint64_t begin = index * kReadPiece;
    const auto size = static_cast<std::size_t>(std::min(kReadPiece, bytes - begin));
    const auto done = source_->read(header_.weights_offset + begin, {into + begin, size});
    return done ? Result<>() : named(done.error(), name_);
  };
  return run_rounds(team, (bytes + kReadPiece - 1) / kReadPiece, read_one, progress);
}

}  // namespace tyto::file
