#include "src/file/gguf_layout.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include "src/base/checked.h"
#include "src/base/error.h"
#include "src/file/gguf_types.h"
#include "src/file/quoted.h"

namespace tyto::file {

Result<> size_tensor(std::string_view file, std::uint32_t gguf_type, TensorInfo& tensor) {
  TensorType type = tensor_type(gguf_type);
  const auto width = static_cast<std::uint64_t>(tensor.shape.back());
  if (width % type.block_values != 0)
    return fail(ErrorCode::bad_file,
                "{}: tensor {} has rows of {} values, but {} comes in blocks of {}", file,
                quoted(tensor.name), width, type.name, type.block_values);
  // Without the zeros, so that the distance between rows is a number even where there are no rows.
  Checked values(1);
  for (const std::int64_t extent : tensor.shape)
    if (extent != 0) values = values * Checked(static_cast<std::uint64_t>(extent));
  const bool empty = std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end();
  const Checked blocks = width == 0 ? values : values / Checked(type.block_values);
  const Checked bytes = blocks * Checked(type.block_bytes);
  // Signed sizes and differences of pointers must hold them too.
  if (!(values <= Checked(std::numeric_limits<std::int64_t>::max())) ||
      !(bytes <= Checked(std::numeric_limits<std::int64_t>::max())))
    return fail(ErrorCode::bad_file,
                "{}: tensor {} of shape [{}] and type {} is larger than any file", file,
                quoted(tensor.name), fmt::join(tensor.shape, ", "), type.name);
  tensor.format = type.format;
  tensor.type_name = std::move(type.name);
  tensor.bytes = empty ? 0 : *bytes.get();
  return {};
}

namespace {

Result<> check_overlap(std::string_view file, const GgufHeader& header) {
  std::vector<std::uint32_t> order(header.tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  std::erase_if(order, [&](std::uint32_t i) {
    return header.tensors[i].bytes == 0;
  });  // empty: shares no byte
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return header.places[a].offset < header.places[b].offset;
  });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const TensorInfo& before = header.tensors[order[i - 1]];
    const std::uint64_t end =
        header.places[order[i - 1]].offset + before.bytes;  // inside the file: no overflow
    const std::uint64_t begin = header.places[order[i]].offset;
    if (begin < end)
      return fail(ErrorCode::bad_file,
                  "{}: tensor {} begins at offset {}, inside tensor {} which ends at {}", file,
                  quoted(header.tensors[order[i]].name), begin, quoted(before.name), end);
  }
  return {};
}

}  // namespace

Result<> place_tensors(std::string_view file, std::uint64_t alignment, std::uint64_t directory_end,
                       std::uint64_t file_size, GgufHeader& header) {
  const Checked data = Checked(directory_end).rounded_up(alignment);
  for (std::size_t i = 0; i < header.tensors.size(); ++i) {
    const TensorInfo& tensor = header.tensors[i];
    std::uint64_t& offset = header.places[i].offset;
    if (offset % alignment != 0)
      return fail(ErrorCode::bad_file, "{}: tensor {} is at offset {}, expected a multiple of {}",
                  file, quoted(tensor.name), offset, alignment);
    const Checked begin = data + Checked(offset);
    if (!(begin + Checked(tensor.bytes) <= Checked(file_size)))
      return fail(ErrorCode::bad_file,
                  "{}: tensor {} of {} bytes at offset {} of the data is not inside the file, "
                  "which has {} bytes",
                  file, quoted(tensor.name), tensor.bytes, offset, file_size);
    offset = *begin.get();
  }
  return check_overlap(file, header);
}

}  // namespace tyto::file
