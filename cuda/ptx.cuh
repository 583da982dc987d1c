// Instructions that CUDA C++ has no function for, and shared memory of a size that the launch
// gives. Source: PTX ISA 9.0. tests/fake_cuda/cuda/ptx.cuh says what they mean to the host.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>

// Before a loop that has to end as straight code, since it indexes what lies in registers.
#define TYTO_UNROLL _Pragma("unroll")

namespace tyto::cuda {

// Before a kernel touches what another one writes or reads: the next one may be placed beside it,
// and the one before has ended and its results are here. Kernels that are launched without
// "programmatic" order (launch() in prim.cuh) find that so already.
__device__ inline void begin_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__device__ inline std::byte* dynamic_shared() {
  extern __shared__ __align__(128) std::byte dynamic_shared_memory[];
  return dynamic_shared_memory;
}

// 16 bytes to shared memory, some time before wait_copies(). Both addresses are multiples of 16.
__device__ inline void copy_async(void* shared, const void* global) {
  const auto at = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(at), "l"(global) : "memory");
}
// Ends a group of a thread's copies.
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// All of this thread's groups but the last kPending are there.
template <int kPending>
__device__ inline void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Asks for the cache line to come to the second level: 128 bytes, or what the device makes of it.
__device__ inline void prefetch(const void* global) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(global));
}

// c += a b by a warp: a has 16 rows, b 8 columns, and k is 8 words of 4 bytes. Lane 4 g + t holds
//   a[0], a[1]  word t of rows g and g + 8;  a[2], a[3]  word 4 + t of them
//   b[0], b[1]  words t and 4 + t of column g
//   c[0], c[1]  row g, columns 2 t and 2 t + 1;  c[2], c[3]  row g + 8
// A word holds four signed bytes, two 16-bit floats, or a float of which 10 bits of fraction count.
__device__ inline void multiply_int8(int (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// The same over the first four words only, which are in a0, a1 and b.
__device__ inline void multiply_int8(int (&c)[4], unsigned a0, unsigned a1, unsigned b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
      "{%0,%1,%2,%3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a0), "r"(a1), "r"(b));
}
__device__ inline void multiply_bf16(float (&c)[4], const unsigned (&a)[4],
                                     const unsigned (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
      "{%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void multiply_f16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
      "{%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void multiply_tf32(float (&c)[4], const unsigned (&a)[4],
                                     const unsigned (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
      "{%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// To nearest, ties away from zero, with 10 bits of fraction.
__device__ inline unsigned float_to_tf32(float value) {
  unsigned bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}

}  // namespace tyto::cuda
