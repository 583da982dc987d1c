// The number types that GGUF names: of metadata values, and of tensors.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "src/quant/format.h"

namespace tyto::file {

enum class GgufType : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};
inline constexpr std::uint32_t kGgufTypes = 13;

std::string_view name(GgufType type) noexcept;
// Bytes of one value in the file; 0 for strings and arrays, which have no fixed size.
std::uint64_t fixed_size(GgufType type) noexcept;
bool is_integer(GgufType type) noexcept;  // not bool
bool is_signed(GgufType type) noexcept;

// How a tensor type stores numbers. Types that this build cannot compute with are known here by
// name and size, so that their directory entries are checked all the same.
struct TensorType {
  const quant::Format* format = nullptr;
  std::string name;
  std::uint64_t block_values = 1;
  std::uint64_t block_bytes = 0;  // 0: unknown
};
TensorType tensor_type(std::uint32_t gguf_type);

}  // namespace tyto::file
