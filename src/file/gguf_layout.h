// Where a GGUF file's tensors lie: sizes from shapes, offsets inside the file, and no two of them
// sharing a byte.
#pragma once
#include <cstdint>
#include <string_view>

#include "src/file/gguf_header.h"
#include "src/file/tensor_source.h"
#include "tyto/result.h"

namespace tyto::file {

// Sets format, type_name and bytes from the type's number and the shape.
Result<> size_tensor(std::string_view file, std::uint32_t gguf_type, TensorInfo& tensor);

// Turns the offsets of the directory, which ends at `directory_end`, into offsets in the file, and
// checks them.
Result<> place_tensors(std::string_view file, std::uint64_t alignment, std::uint64_t directory_end,
                       std::uint64_t file_size, GgufHeader& header);

}  // namespace tyto::file
