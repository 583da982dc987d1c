// Rows picked out of many: what a mixture of experts multiplies by the weights of one of them.
#pragma once
#include <cstdint>
#include <span>

#include "cpu/kernel_table.h"

namespace tyto::cpu {

// Copies the records of `rows`, in this order and each as often as it is named, to `to`
// [layout.total_bytes(rows.size())], where they lie as any kernel wants them: result i is that of
// row rows[i], bit for bit.
Activations gather(const Activations& from, const ActivationLayout& layout,
                   std::span<const std::int32_t> rows, std::byte* to) noexcept;

}  // namespace tyto::cpu
