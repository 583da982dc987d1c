// Writing packed files, and the content hashes that tell whether one still holds what was written.
#include <algorithm>
#include <cstring>
#include <utility>

#include "src/base/checked.h"
#include "src/base/error.h"
#include "src/file/content_hash.h"
#include "src/file/packed.h"

namespace tyto::file {
namespace {

template <std::size_t kSize>
std::array<char, kSize> padded(std::string_view text) {
  std::array<char, kSize> result{};
  std::copy_n(text.begin(), std::min(text.size(), kSize), result.begin());
  return result;
}

Result<HashValue> source_hash(const ModelFile& model, Team& team, const Progress& progress) {
  Hash128 all;
  for (const ModelFile::Part& part : model.parts()) {
    TYTO_TRY(const std::uint64_t size, part.source->size());
    TYTO_TRY(const HashValue hash,
             content_hash(*part.source, model.name(), 0, size, team, progress));
    if (model.parts().size() == 1) return hash;
    all.update(std::as_bytes(std::span(hash)));
  }
  return all.value();
}

Result<std::vector<std::byte>> directory_of(const ModelFile& model) {
  std::vector<std::byte> directory(model.parts().size() * kPackedPartBytes);
  std::byte* entry = directory.data();
  for (const ModelFile::Part& part : model.parts()) {
    TYTO_TRY(const std::uint64_t size, part.source->size());
    const std::array<std::uint64_t, 2> sizes{size, part.header_bytes};
    std::memcpy(entry, sizes.data(), sizeof sizes);
    entry += sizeof sizes;
  }
  for (const ModelFile::Part& part : model.parts()) {
    const std::size_t at = directory.size();
    directory.resize(at + static_cast<std::size_t>(part.header_bytes));
    TYTO_TRY(part.source->read(0, std::span(directory).subspan(at)));
  }
  return directory;
}

// The part of a file behind its header.
class Weights : public ByteSink {
 public:
  Weights(ByteSink& file, std::uint64_t offset) noexcept : file_(file), offset_(offset) {}
  Result<> write(std::uint64_t offset, std::span<const std::byte> bytes) override {
    return file_.write(offset_ + offset, bytes);
  }

 private:
  ByteSink& file_;
  const std::uint64_t offset_;
};

Result<PackedHeader> header_of(const ModelFile& model, const PackedForm& form,
                               const SourceState& state, std::uint64_t directory_bytes) {
  PackedHeader header{};
  header.magic = kPackedMagic;
  header.version = kPackedVersion;
  header.layout = form.version;
  header.table = padded<32>(form.table);
  header.places = form.places;
  header.files = model.parts().size();
  header.directory_bytes = directory_bytes;
  const std::uint64_t page = form.bytes < 4 * kPackedLargePage ? kPackedPage : kPackedLargePage;
  const auto offset = (Checked(sizeof header) + Checked(directory_bytes)).rounded_up(page).get();
  if (!offset || !(Checked(*offset) + Checked(form.bytes)).valid())
    return fail(ErrorCode::limit, "{}: larger than any file", model.name());
  header.weights_offset = *offset;
  header.weights_bytes = form.bytes;
  header.source_bytes = state.bytes;
  header.source_modified = state.modified;
  header.fingerprint = padded<32>(model.fingerprint());
  return header;
}

}  // namespace

Result<SourceState> source_state(const ModelFile& model) {
  SourceState state;
  bool known = true;
  for (const ModelFile::Part& part : model.parts()) {
    TYTO_TRY(const std::uint64_t size, part.source->size());
    state.bytes += size;  // of files that are there: no overflow that matters
    const std::int64_t modified = part.source->modified();
    known = known && modified != 0;
    state.modified = std::max(state.modified, modified);
  }
  if (!known) state.modified = 0;
  return state;
}

Result<> PackedFile::verify_weights(Team& team, const Progress& progress) const {
  TYTO_TRY(const HashValue found,
           content_hash(*source_, name_, header_.weights_offset,
                        header_.weights_offset + header_.weights_bytes, team, progress));
  if (found == header_.weights_hash) return {};
  return fail(ErrorCode::bad_file, "{}: its weights have the hash {}, expected {}", name_,
              hex(found), hex(header_.weights_hash));
}

Result<> PackedFile::verify_source(const ModelFile& model, Team& team,
                                   const Progress& progress) const {
  TYTO_TRY(const HashValue found, source_hash(model, team, progress));
  if (found == header_.source_hash) return {};
  return fail(ErrorCode::mismatch, "{}: made of a file with the hash {}, but {} has {}", name_,
              hex(header_.source_hash), model.name(), hex(found));
}

Result<> write_packed(const ModelFile& model, const PackedForm& form, std::string_view path,
                      Team& team, const std::function<Result<>(ByteSink&)>& fill,
                      const Progress& progress) {
  TYTO_TRY(const SourceState before, source_state(model));
  TYTO_TRY(const std::vector<std::byte> directory, directory_of(model));
  TYTO_TRY(PackedHeader header, header_of(model, form, before, directory.size()));
  const std::uint64_t end = header.weights_offset + header.weights_bytes;
  TYTO_TRY(const auto file, OutputFile::create(path, end));
  Weights weights(*file, header.weights_offset);
  TYTO_TRY(fill(weights));
  TYTO_TRY(header.weights_hash,
           content_hash(*file, path, header.weights_offset, end, team, progress));
  TYTO_TRY(header.source_hash, source_hash(model, team, progress));
  TYTO_TRY(const SourceState after, source_state(model));
  if (before.bytes != after.bytes || before.modified != after.modified)
    return fail(ErrorCode::io, "{}: changed while it was packed", model.name());
  header.header_hash = hash_header(header, directory);
  TYTO_TRY(file->write(0, std::as_bytes(std::span(&header, 1))));
  TYTO_TRY(file->write(sizeof header, directory));
  return file->commit();
}

}  // namespace tyto::file
