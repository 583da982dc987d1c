// Packed files: a model as a backend packed it, ready to be used where it lies in memory.
//   header      PackedHeader
//   directory   for each file of the source its size and the size of its header, 8 bytes each; then
//               these headers, metadata and tensor directory as the source has them, back to back
//   weights     from weights_offset to the end of the file; what they mean only the backend knows
//               that packed them
// All numbers are little-endian. Weights begin at a multiple of 4096; from 8 MiB on of 2 MiB, so
// that a system which keeps files in large pages can map them so.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/hash.h"
#include "src/base/parallel.h"
#include "src/file/output_file.h"
#include "src/file/packed_form.h"
#include "src/file/tensor_source.h"
#include "tyto/host.h"
#include "tyto/result.h"

namespace tyto::file {

inline constexpr std::array<char, 8> kPackedMagic{'t', 'y', 't', 'o', 'p', 'a', 'c', 'k'};
inline constexpr std::uint32_t kPackedVersion = 1;
inline constexpr std::uint64_t kPackedPage = 4096, kPackedLargePage = std::uint64_t{2} << 20;
inline constexpr std::uint64_t kPackedPartBytes = 16;  // of a source file's sizes in the directory

struct PackedHeader {
  std::array<char, 8> magic;
  std::uint32_t version;       // of this format
  std::uint32_t layout;        // PackedForm::version
  std::array<char, 32> table;  // PackedForm::table and zeros
  HashValue places;            // PackedForm::places
  std::uint64_t files, directory_bytes, weights_offset, weights_bytes;
  std::uint64_t source_bytes;  // of all its files
  std::int64_t source_modified;
  HashValue source_hash, weights_hash;  // content_hash.h; of several files: Hash128 of theirs
  std::array<char, 32> fingerprint;     // ModelFile::fingerprint
  HashValue header_hash;                // Hash128 of all above, and of the directory
};
static_assert(sizeof(PackedHeader) == 192);
HashValue hash_header(const PackedHeader& header, std::span<const std::byte> directory);

// By its first bytes.
Result<bool> is_packed(const FileSource& source, std::string_view name);

// A packed file whose header is consistent with itself and with the file's size.
class PackedFile {
 public:
  static Result<std::shared_ptr<const PackedFile>> open(std::shared_ptr<const FileSource> source,
                                                        std::string_view name);

  std::string_view name() const noexcept { return name_; }
  const PackedHeader& header() const noexcept { return header_; }
  std::string_view table() const noexcept;
  const std::shared_ptr<const FileSource>& source() const noexcept { return source_; }

  // For each file of the source, its bytes up to the end of its tensor directory, and zeros beyond.
  // They must not outlive this.
  std::vector<std::shared_ptr<const FileSource>> headers() const;

  // `mismatch` tells what was found and what was expected.
  Result<> check_form(const PackedForm& form) const;
  // That it was made of this file: its fingerprint, size and time.
  Result<> check_source(const ModelFile& model) const;
  // The content hashes, of everything that a header cannot vouch for. `bad_file` for other weights
  // than were written; `mismatch` for another source.
  Result<> verify_weights(Team& team, const Progress& progress) const;
  Result<> verify_source(const ModelFile& model, Team& team, const Progress& progress) const;

  // The weights in memory, at a multiple of 64. Empty: they have to be read.
  std::span<const std::byte> mapped_weights() const noexcept;
  Result<> read_weights(Team& team, const Progress& progress, std::byte* into) const;

 private:
  PackedFile(std::shared_ptr<const FileSource> source, std::string_view name);
  Result<> read_header();
  Result<> check_sizes(std::uint64_t file_size) const;
  Result<> read_directory();

  struct Part {
    std::uint64_t size = 0, offset = 0, bytes = 0;  // of a source file; of its header in ours
  };

  std::shared_ptr<const FileSource> source_;
  std::string name_;
  PackedHeader header_{};
  std::vector<std::byte> directory_;
  std::vector<Part> parts_;
};

struct SourceState {
  std::uint64_t bytes = 0;    // of all its files
  std::int64_t modified = 0;  // of the one that changed last; 0: not known of all of them
};
Result<SourceState> source_state(const ModelFile& model);

// Writes a packed file of `model` to `path`. `fill` writes the weights, form.bytes of them. Fails
// with `io` if the source changes meanwhile.
Result<> write_packed(const ModelFile& model, const PackedForm& form, std::string_view path,
                      Team& team, const std::function<Result<>(ByteSink&)>& fill,
                      const Progress& progress);

}  // namespace tyto::file
