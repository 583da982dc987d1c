// The hash of much content: Hash128 of the Hash128 of each of its pieces of 4 MiB (the last one may
// be shorter), 16 bytes each, in order. So all threads can make it together.
#pragma once
#include <cstdint>
#include <string_view>

#include "src/base/hash.h"
#include "src/base/parallel.h"
#include "tyto/host.h"
#include "tyto/result.h"

namespace tyto::file {

// Of bytes [begin, end) of the source. `name` is for messages.
Result<HashValue> content_hash(const FileSource& source, std::string_view name, std::uint64_t begin,
                               std::uint64_t end, Team& team, const Progress& progress);

}  // namespace tyto::file
