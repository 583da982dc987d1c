// The matrix kernels of each ISA's table, and the conversion of activations that goes with them.
// find_table() asks here after it has looked at the machine; calling a function of an ISA that the
// machine lacks is fine, its kernels are not.
#pragma once
#include "cpu/kernel_table.h"

namespace tyto::cpu {

// The slices of the record lie slice_stride bytes apart.
using MakeActivations = void (*)(const float* x, std::size_t k, std::byte* record,
                                 std::size_t slice_stride);

struct LinearTable {
  const LinearKernel* const* kernels;       // one per quant::formats(), in that order
  const MakeActivations* make_activations;  // [kActivationForms]
};

LinearTable scalar_linear() noexcept;
#if defined(__x86_64__) || defined(_M_X64)
// Needs AVX2, FMA and F16C.
LinearTable avx2_linear() noexcept;
// Needs AVX-512 F, BW, DQ, VL and VNNI. What a machine may have besides:
//   bf16  AVX512-BF16: dot products of BF16 weights with activations rounded to bfloat16
//   amx   AMX-INT8 and AMX-BF16, and the permission to use them (cpu/amx.h): products of many rows,
//   the same bits as without but for BF16 weights
LinearTable avx512_linear(bool bf16, bool amx) noexcept;
#endif
#if defined(__aarch64__)
// Needs NEON with DotProd. What a machine may have besides:
//   i8mm  I8MM: products of many rows by matrices of bytes, the same bits as without
LinearTable neon_linear(bool i8mm) noexcept;
#endif

}  // namespace tyto::cpu
