#include "src/quant/format.h"

namespace tyto::quant {

const Format* find_gguf_type(std::uint32_t gguf_type) noexcept {
  for (const Format* format : formats())
    if (format->gguf_type == gguf_type) return format;
  return nullptr;
}

const Format* find_format(std::string_view name) noexcept {
  for (const Format* format : formats())
    if (format->name == name) return format;
  return nullptr;
}

}  // namespace tyto::quant
