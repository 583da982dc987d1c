#if defined(__x86_64__) || defined(_M_X64)
#include <algorithm>
#include <limits>

#include "cpu/kernel_table.h"
#include "cpu/row_kernels.h"
#include "cpu/simd/avx512_rows.h"
// then:
#include "cpu/kernels/math-inl.h"
#include "cpu/kernels/rows-inl.h"
// then:
#include "cpu/kernels/cache-inl.h"
// then:
#include "cpu/kernels/attention-inl.h"
#include "cpu/kernels/row_table-inl.h"

namespace tyto::cpu {

const RowKernels& avx512_row_kernels() noexcept { return avx512::kRowKernels; }

}  // namespace tyto::cpu
#endif
