#if defined(__aarch64__)
#include <algorithm>
#include <limits>

#include "cpu/kernel_table.h"
#include "cpu/kernels/attend_memory.h"
#include "cpu/row_kernels.h"
#include "cpu/simd/neon_rows.h"
// then:
#include "cpu/kernels/math-inl.h"
#include "cpu/kernels/rows-inl.h"
// then:
#include "cpu/kernels/cache-inl.h"
// then:
#include "cpu/kernels/attention-inl.h"
#include "cpu/kernels/row_table-inl.h"

namespace tyto::cpu {

const RowKernels& neon_row_kernels() noexcept { return neon::kRowKernels; }

}  // namespace tyto::cpu
#endif
