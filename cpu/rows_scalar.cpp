#include <algorithm>
#include <limits>

#include "cpu/kernel_table.h"
#include "cpu/kernels/attend_memory.h"
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

}  // namespace tyto::cpu
