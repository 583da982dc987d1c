// The language of kernels on the host (cuda_runtime_api.h). The threads of a block are fibers that
// run until they wait for each other; blocks run one after the other.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda_runtime_api.h"

#define __global__
#define __shared__ static  // of one block at a time
#define __launch_bounds__(...)
#define __grid_constant__

inline float2 make_float2(float x, float y) { return {x, y}; }

inline uint3 threadIdx, blockIdx;  // of the fiber that runs
inline dim3 blockDim, gridDim;

namespace fake_cuda {

void wait_for_block();
void wait_for_warp();
void begin_thread();  // every thread of a kernel calls it
std::byte* dynamic_shared();
// Copies to shared memory by this thread, which happen when they are waited for.
void add_copy(void* to, const void* from, std::size_t bytes);
void commit_copies();
void wait_copies(int pending);

inline constexpr std::size_t kMostShared = 32;
// Bytes that every lane of this thread's warp writes, [lane][kMostShared].
std::byte* warp_bytes();

// What every lane of the warp has: [lane], until its next exchange.
template <class T>
const T* share(const T& value) {
  static_assert(sizeof(T) <= kMostShared && std::is_trivially_copyable_v<T>);
  T* const values = reinterpret_cast<T*>(warp_bytes());
  std::memcpy(&values[threadIdx.x % 32], &value, sizeof(T));
  wait_for_warp();
  return values;
}

template <class T>
T exchange(T value, unsigned from_lane) {
  return share(value)[from_lane % 32];
}

}  // namespace fake_cuda

using std::isfinite;
using std::max;
using std::min;

inline void __syncthreads() { fake_cuda::wait_for_block(); }
inline void __syncwarp() { fake_cuda::wait_for_warp(); }
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return fake_cuda::exchange(value, (threadIdx.x % 32) ^ static_cast<unsigned>(mask));
}
template <class T>
T __shfl_up_sync(unsigned, T value, unsigned distance) {
  const unsigned lane = threadIdx.x % 32;
  return fake_cuda::exchange(value, lane < distance ? lane : lane - distance);
}
inline int __any_sync(unsigned, int predicate) {
  int any = predicate != 0;
  for (int distance = 16; distance > 0; distance /= 2)
    any |= __shfl_xor_sync(0xffffffffu, any, distance);
  return any;
}
// Bytes of two words, four of them, as the digits of `which` say.
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned which) {
  const std::uint64_t both = static_cast<std::uint64_t>(b) << 32 | a;
  unsigned out = 0;
  for (unsigned i = 0; i < 4; ++i)
    out |= static_cast<unsigned>(both >> (which >> 4 * i & 7) * 8 & 0xff) << 8 * i;
  return out;
}
inline int atomicMin(std::int32_t* to, int value) {
  return std::exchange(*to, std::min(*to, value));
}
inline unsigned atomicAdd(unsigned* to, unsigned value) { return std::exchange(*to, *to + value); }
inline int __dp4a(int a, int b, int sum) {
  for (int i = 0; i < 4; ++i)
    sum += static_cast<std::int8_t>(a >> 8 * i) * static_cast<std::int8_t>(b >> 8 * i);
  return sum;
}
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __int_as_float(int bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}
inline int __float_as_int(float value) {
  int bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}
