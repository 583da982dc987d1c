// One value of a GGUF file's metadata, from its type on.
#pragma once
#include <string_view>

#include "src/base/bytes.h"
#include "src/file/gguf_metadata.h"
#include "tyto/result.h"

namespace tyto::file {

inline constexpr std::uint64_t kMaxArrayElements = std::uint64_t{1} << 30;  // more is `limit`
inline constexpr int kMaxArrayDepth = 4;  // an array of numbers has depth 1

// `where` names the key in messages.
Result<GgufValue> read_gguf_value(ByteReader& reader, std::string_view where);

}  // namespace tyto::file
