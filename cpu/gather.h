// Rows picked out of many: what a mixture of experts multiplies by the weights of one of them.
#pragma once
#include <cstdint>
#include <span>

#include "cpu/kernel_table.h"

namespace tyto::cpu {

// Copies the records of `rows` of `all`, in this order and each as often as it is named, to `to`
// [layout.total_bytes(rows.size())], 64-byte aligned, which must outlive what is returned: the same
// rows as records of their own, for any kernel. `layout` is that of `all`.
Activations gather(const Activations& all, const ActivationLayout& layout,
                   std::span<const std::int32_t> rows, std::byte* to) noexcept;

}  // namespace tyto::cpu
