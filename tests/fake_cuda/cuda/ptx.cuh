// What the instructions of cuda/ptx.cuh mean, on the host. Stricter in two things: a copy arrives
// when it is waited for and not before, and a kernel must have begun as all have to.
#pragma once
#include <cuda_runtime.h>

#include "src/quant/blocks.h"

#define TYTO_UNROLL

namespace tyto::cuda {

inline void begin_kernel() { fake_cuda::begin_thread(); }
inline std::byte* dynamic_shared() { return fake_cuda::dynamic_shared(); }
inline void copy_async(void* shared, const void* global) {
  fake_cuda::add_copy(shared, global, 16);
}
inline void commit_copies() { fake_cuda::commit_copies(); }
template <int kPending>
void wait_copies() {
  fake_cuda::wait_copies(kPending);
}

inline void prefetch(const void* global) { fake_cuda::check_device_memory(global); }

namespace host {

// What every lane brings to a product.
struct Fragments {
  unsigned a[4], b[2];
};

// kWords words of k; dot(a word, b word) is their part of a sum.
template <int kWords, class Sum, class Dot>
void multiply(Sum (&c)[4], const Fragments& own, const Dot& dot) {
  const Fragments* const lanes = fake_cuda::share(own);
  const unsigned g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned column = 2 * t + i % 2;
    for (unsigned word = 0; word < kWords; ++word)
      c[i] += dot(lanes[4 * g + word % 4].a[word / 4 * 2 + i / 2],
                  lanes[4 * column + word % 4].b[word / 4]);
  }
}

inline int dot_int8(unsigned a, unsigned b) {
  return __dp4a(static_cast<int>(a), static_cast<int>(b), 0);
}
template <class Value>
float dot_pair(unsigned a, unsigned b) {
  const auto value = [](unsigned word) {
    return quant::to_float(Value{static_cast<std::uint16_t>(word)});
  };
  return value(a) * value(b) + value(a >> 16) * value(b >> 16);
}
inline float tf32(unsigned bits) { return __int_as_float(static_cast<int>(bits & 0xffffe000u)); }

}  // namespace host

inline void multiply_int8(int (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  host::multiply<8>(c, {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}}, host::dot_int8);
}
inline void multiply_int8(int (&c)[4], unsigned a0, unsigned a1, unsigned b) {
  host::multiply<4>(c, {{a0, a1, 0, 0}, {b, 0}}, host::dot_int8);
}
inline void multiply_bf16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  host::multiply<8>(c, {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}}, host::dot_pair<quant::BF16>);
}
inline void multiply_f16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  host::multiply<8>(c, {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}}, host::dot_pair<quant::F16>);
}
inline void multiply_tf32(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  host::multiply<8>(c, {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}},
                    [](unsigned x, unsigned y) { return host::tf32(x) * host::tf32(y); });
}
inline unsigned float_to_tf32(float value) {
  return (static_cast<unsigned>(__float_as_int(value)) + 0x1000u) & 0xffffe000u;
}

}  // namespace tyto::cuda
