#include <algorithm>
#include <limits>

#include "cpu/kernel_table.h"
#include "cpu/row_kernels.h"
#include "cpu/simd/scalar_rows.h"
// then:
#include "cpu/kernels/math-inl.h"
#include "cpu/kernels/rows-inl.h"
// then:
#include "cpu/kernels/cache-inl.h"
// then:
#include "cpu/kernels/attention-inl.h"
#include "cpu/kernels/row_table-inl.h"

namespace tyto::cpu {

const RowKernels& scalar_row_kernels() noexcept { return scalar::kRowKernels; }

std::size_t attend_scratch_bytes(int group, int value_dim) noexcept {
  const std::size_t vectors = round_up(static_cast<std::size_t>(std::max(kQueryTile, group)), 16);
  const std::size_t stride = round_up(static_cast<std::size_t>(value_dim), 16);
  return vectors * (2 * stride + 16 + 3) * sizeof(float);
}

}  // namespace tyto::cpu
