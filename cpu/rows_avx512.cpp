#if defined(__x86_64__) || defined(_M_X64)
#include <algorithm>
#include <limits>

#include "cpu/kernel_table.h"
#include "cpu/kernels/attend_memory.h"
#include "cpu/row_kernels.h"
#include "cpu/simd/avx512_rows.h"
// then:
#include "cpu/kernels/math-inl.h"
#include "cpu/kernels/rows-inl.h"
// then:
#include "cpu/kernels/cache-inl.h"
// then:
#include "cpu/kernels/bf16_tiles-inl.h"
// then:
#include "cpu/kernels/attention-inl.h"
// then:
#include "cpu/kernels/attention_weights-inl.h"
// then:
#include "cpu/kernels/attention_vectors-inl.h"
// then:
#include "cpu/kernels/attention_tiles-inl.h"
#include "cpu/kernels/row_table-inl.h"

namespace tyto::cpu {
namespace {

constexpr RowKernels with_tiles(RowKernels kernels) {
  kernels.attend[static_cast<int>(CacheType::bf16)] = avx512::attend_by_tiles;
  kernels.attend_bytes = attend_tiles_bytes;
  return kernels;
}
constexpr RowKernels kAmxRowKernels = with_tiles(avx512::kRowKernels);

}  // namespace

const RowKernels& avx512_row_kernels() noexcept { return avx512::kRowKernels; }
const RowKernels& amx_row_kernels() noexcept { return kAmxRowKernels; }

}  // namespace tyto::cpu
#endif
