#include "src/file/gguf_split.h"

#include "src/base/error.h"

namespace tyto::file {
namespace {

constexpr std::uint64_t kMostShards = 99999;  // five digits

std::string suffix(std::uint64_t index, std::uint64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", index + 1, count);
}

}  // namespace

Result<std::uint64_t> split_count(const Metadata& metadata, std::string_view name) {
  TYTO_TRY(const std::uint64_t count, metadata.integer_or("split.count", 1));
  if (count == 0 || count > kMostShards)
    return fail(ErrorCode::bad_file, "{}: key 'split.count' is {}, expected 1 to {}", name, count,
                kMostShards);
  if (count == 1) return count;
  TYTO_TRY(const std::uint64_t index, metadata.integer("split.no"));
  if (index != 0 && index < count)
    return fail(ErrorCode::bad_argument,
                "{}: this is file {} of {} of a split model; load the first one", name, index + 1,
                count);
  TYTO_TRY(check_shard(metadata, name, 0, count));
  return count;
}

Result<> check_shard(const Metadata& metadata, std::string_view name, std::uint64_t index,
                     std::uint64_t count) {
  TYTO_TRY(const std::uint64_t says_count, metadata.integer("split.count"));
  TYTO_TRY(const std::uint64_t says_index, metadata.integer("split.no"));
  if (says_count == count && says_index == index) return {};
  return fail(ErrorCode::bad_file,
              "{}: says it is number {} of {} split files (from 0), expected {} of {}", name,
              says_index, says_count, index, count);
}

Result<std::string> shard_name(std::string_view first, std::uint64_t index, std::uint64_t count) {
  const std::string end = suffix(0, count);
  if (!first.ends_with(end))
    return fail(ErrorCode::bad_file, "{}: the first of {} split files, its name must end in {}",
                first, count, end);
  first.remove_suffix(end.size());
  return std::string(first) + suffix(index, count);
}

}  // namespace tyto::file
