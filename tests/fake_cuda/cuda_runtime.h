// The language of kernels on the host (cuda_runtime_api.h). The threads of a block are fibers that
// run until they wait for each other; blocks run one after the other.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cuda_runtime_api.h"

#define __global__
#define __device__
#define __host__
#define __shared__ static  // of one block at a time
#define __launch_bounds__(...)

inline float2 make_float2(float x, float y) { return {x, y}; }

inline uint3 threadIdx, blockIdx;  // of the fiber that runs
inline dim3 blockDim;

namespace fake_cuda {

void wait_for_block();
void wait_for_warp();
std::uint64_t* warp_values();  // one of each lane of this thread's warp

template <class T>
T exchange(T value, unsigned from_lane) {
  std::uint64_t* const values = warp_values();
  T result;
  std::memcpy(&values[threadIdx.x % 32], &value, sizeof(T));
  wait_for_warp();
  std::memcpy(&result, &values[from_lane % 32], sizeof(T));
  return result;
}

}  // namespace fake_cuda

using std::isfinite;

inline void __syncthreads() { fake_cuda::wait_for_block(); }
inline void __syncwarp() { fake_cuda::wait_for_warp(); }
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return fake_cuda::exchange(value, (threadIdx.x % 32) ^ static_cast<unsigned>(mask));
}
inline int __any_sync(unsigned, int predicate) {
  int any = predicate != 0;
  for (int distance = 16; distance > 0; distance /= 2)
    any |= __shfl_xor_sync(0xffffffffu, any, distance);
  return any;
}
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
