// Split GGUF files: model-00001-of-00003.gguf and so on, in one folder. The first holds the
// metadata; each says which of how many it is.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "src/file/metadata.h"
#include "tyto/result.h"

namespace tyto::file {

// How many files `metadata`, the first one's, speaks of; 1 for a file that is not split.
Result<std::uint64_t> split_count(const Metadata& metadata, std::string_view name);
// That `metadata` is that of file `index`, from 0, of `count`.
Result<> check_shard(const Metadata& metadata, std::string_view name, std::uint64_t index,
                     std::uint64_t count);
// The name of file `index`, beside the first. Only digits of the first one's name change, so that
// no file can lead out of its folder.
Result<std::string> shard_name(std::string_view first, std::uint64_t index, std::uint64_t count);

}  // namespace tyto::file
