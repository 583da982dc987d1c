#include "cpu/gather.h"

#include <cstring>

namespace tyto::cpu {

Activations gather(const Activations& all, const ActivationLayout& layout,
                   std::span<const std::int32_t> rows, std::byte* to) noexcept {
  const Activations gathered{to, layout.bytes, layout.slice_stride(rows.size())};
  for (std::size_t slice = 0; slice < layout.slices; ++slice)
    for (std::size_t i = 0; i < rows.size(); ++i)
      std::memcpy(to + slice * gathered.slice_stride + i * layout.bytes,
                  all.from(rows[i]).first + slice * all.slice_stride, layout.bytes);
  return gathered;
}

}  // namespace tyto::cpu
