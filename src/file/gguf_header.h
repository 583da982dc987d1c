// What a GGUF file says before its tensor data: parsed, and checked against the file's size.
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "src/file/gguf_metadata.h"
#include "src/file/tensor_source.h"
#include "tyto/host.h"
#include "tyto/result.h"

namespace tyto::file {

// More keys or tensors than this in a file is `limit`: each costs memory beyond its bytes in the
// file.
inline constexpr std::uint64_t kMaxKeys = 65536, kMaxTensors = 65536;

struct GgufPlace {
  std::uint64_t offset = 0;  // in its file
  std::uint32_t type = 0;    // GGUF's number
  std::uint32_t shard = 0;
};

struct GgufHeader {
  std::unique_ptr<GgufMetadata> metadata;
  std::vector<TensorInfo> tensors;
  std::vector<GgufPlace> places;  // of tensors
  std::uint64_t bytes = 0;        // up to the end of the tensor directory
};

Result<GgufHeader> read_gguf_header(const FileSource& source, std::string_view name);

}  // namespace tyto::file
