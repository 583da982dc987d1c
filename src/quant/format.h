// A weight format: how a file stores numbers in blocks. One folder here per format; its format.h
// defines
//   namespace tyto::quant::<folder> { inline constexpr Format format{...}; }
// and the build writes the list of all of them (formats()). A format's cpu-inl.h, beside it, says
// which family of kernels (cpu/kernels) it takes. Source of the definitions: the GGUF specification
// and the block structs it names (ggml's ggml-common.h).
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tyto::quant {

struct Format {
  std::string_view name;    // "q4_0"
  std::uint32_t gguf_type;  // its number in GGUF files
  int block_values;         // values in a block; rows are whole blocks
  int block_bytes;
  // Exactly the format's definition, in float32. values: [count * block_values].
  void (*dequantize)(const std::byte* blocks, std::size_t count, float* values);
  // False if a scale (of float formats: a value) is NaN or infinite.
  bool (*finite)(const std::byte* blocks, std::size_t count);
};

std::span<const Format* const> formats() noexcept;               // in the order of their names
const Format* find_gguf_type(std::uint32_t gguf_type) noexcept;  // null if unknown
const Format* find_format(std::string_view name) noexcept;

}  // namespace tyto::quant
