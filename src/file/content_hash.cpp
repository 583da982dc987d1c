#include "src/file/content_hash.h"

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "src/base/error.h"

namespace tyto::file {
namespace {

constexpr std::uint64_t kPiece = std::uint64_t{4} << 20;
constexpr std::size_t kRead = std::size_t{1} << 18;  // stays in a cache between reading and hashing

Result<HashValue> hash_piece(const FileSource& source, std::string_view name, std::uint64_t begin,
                             std::uint64_t end) {
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kRead);
  Hash128 hash;
  while (begin < end) {
    const std::span<std::byte> part(buffer.get(), std::min<std::uint64_t>(kRead, end - begin));
    const auto done = source.read(begin, part);
    if (!done) return fail(done.error().code(), "{}: {}", name, done.error().message());
    hash.update(part);
    begin += part.size();
  }
  return hash.value();
}

}  // namespace

Result<HashValue> content_hash(const FileSource& source, std::string_view name, std::uint64_t begin,
                               std::uint64_t end, Team& team, const Progress& progress) {
  const std::uint64_t bytes = end - begin, pieces = bytes / kPiece + (bytes % kPiece != 0 ? 1 : 0);
  std::vector<HashValue> hashes(static_cast<std::size_t>(pieces));
  const auto hash_one = [&](std::uint64_t index, int) -> Result<> {
    const std::uint64_t first = begin + index * kPiece;
    TYTO_TRY(hashes[static_cast<std::size_t>(index)],
             hash_piece(source, name, first, first + std::min(kPiece, end - first)));
    return {};
  };
  TYTO_TRY(run_rounds(team, pieces, hash_one, progress));
  Hash128 all;
  all.update(std::as_bytes(std::span(hashes)));
  return all.value();
}

}  // namespace tyto::file
