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
#include "cpu/kernels/attention_pairs-inl.h"
// then:
#include "cpu/kernels/attention_dots-inl.h"
#include "cpu/kernels/attention_vectors-inl.h"
// then:
#include "cpu/kernels/attention_tiles-inl.h"
#include "cpu/kernels/row_table-inl.h"

namespace tyto::cpu {
namespace {

constexpr RowKernels in_pairs(RowKernels kernels, void (*attend)(const AttendArgs&)) {
  kernels.attend[static_cast<int>(CacheType::bf16)] = attend;
  kernels.attend_bytes = attend_pairs_bytes;
  return kernels;
}
constexpr RowKernels kDotRowKernels =
    in_pairs(avx512::kRowKernels, avx512::attend_in_pairs<avx512::DotVectors>);
constexpr RowKernels kAmxRowKernels =
    in_pairs(avx512::kRowKernels, avx512::attend_in_pairs<avx512::AmxTiles>);

}  // namespace

const RowKernels& avx512_row_kernels(bool bf16) noexcept {
  return bf16 ? kDotRowKernels : avx512::kRowKernels;
}
const RowKernels& amx_row_kernels() noexcept { return kAmxRowKernels; }

}  // namespace tyto::cpu
#endif
