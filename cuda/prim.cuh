// What kernels are made of: warps, launches, 16-bit floats, wide loads.
#pragma once
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "cuda/ptx.cuh"

namespace tyto::cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

__device__ inline int lane_index() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ inline int warp_index() { return static_cast<int>(threadIdx.x) / kWarp; }

// The same result in every lane. The order of additions is fixed, so the bits are too.
__device__ inline float warp_sum(float value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(kAllLanes, value, distance);
  return value;
}
__device__ inline float warp_max(float value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, distance));
  return value;
}

// Over a block of kWarps warps, all of whose threads call it. parts: [kWarps], shared; free again
// after the next __syncthreads().
template <int kWarps>
__device__ inline float block_sum(float value, float* parts) {
  value = warp_sum(value);
  if (lane_index() == 0) parts[warp_index()] = value;
  __syncthreads();
  float total = 0;
  for (int w = 0; w < kWarps; ++w) total += parts[w];
  return total;
}

template <int kWarps>
__device__ inline float block_max(float value, float* parts) {
  value = warp_max(value);
  if (lane_index() == 0) parts[warp_index()] = value;
  __syncthreads();
  float most = parts[0];
  for (int w = 1; w < kWarps; ++w) most = fmaxf(most, parts[w]);
  return most;
}

__device__ inline float half_at(const std::byte* at, std::size_t index) {
  return __half2float(__ushort_as_half(reinterpret_cast<const unsigned short*>(at)[index]));
}
__device__ inline float bf16_to_float(std::uint16_t bits) {
  return __int_as_float(static_cast<int>(static_cast<unsigned>(bits) << 16));
}
// To nearest, ties to even. NaN stays NaN.
__device__ inline std::uint16_t float_to_bf16(float value) {
  const auto bits = static_cast<unsigned>(__float_as_int(value));
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

template <class Wide>
__device__ inline Wide load(const void* at) {
  return *static_cast<const Wide*>(at);
}

// Many values by 16 bytes at a time; `from` is a multiple of 16.
template <class Value, int kCount>
__device__ inline void load_values(const void* from, Value (&values)[kCount]) {
  constexpr int kPieces = kCount * static_cast<int>(sizeof(Value)) / 16;
  static_assert(sizeof(values) == 16 * kPieces);
  TYTO_UNROLL
  for (int i = 0; i < kPieces; ++i) {
    const auto piece = load<uint4>(static_cast<const uint4*>(from) + i);
    memcpy(reinterpret_cast<std::byte*>(values) + i * sizeof(piece), &piece, sizeof(piece));
  }
}

constexpr int kMostShared = 99 << 10;  // that a block can have on every device from 8.0 on

// Queues a kernel. Where its code can wait for the kernel before it (begin_kernel), it may be
// placed on the device while that one still runs.
template <class... Parameters, class... Arguments>
cudaError_t launch_shared(void (*kernel)(Parameters...), dim3 grid, int threads, int shared_bytes,
                          cudaStream_t stream, const Arguments&... arguments) {
  cudaFuncAttributes found{};
  if (const cudaError_t code = cudaFuncGetAttributes(&found, kernel); code != cudaSuccess)
    return code;
  constexpr std::size_t kWithoutAsking = 48 << 10;
  if (found.sharedSizeBytes + static_cast<std::size_t>(shared_bytes) > kWithoutAsking) {
    // Always as much: the limit is the kernel's, whoever launches it.
    const int most = kMostShared - static_cast<int>(found.sharedSizeBytes);
    const cudaError_t code =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most);
    if (code != cudaSuccess) return code;
  }
  cudaLaunchAttribute order{};
  order.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  order.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<std::size_t>(shared_bytes);
  config.stream = stream;
  config.attrs = &order;
  config.numAttrs = found.ptxVersion >= 90 ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...);
}
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, int threads, cudaStream_t stream,
                   const Arguments&... arguments) {
  return launch_shared(kernel, grid, threads, 0, stream, arguments...);
}

inline unsigned ceil_div(int a, int b) { return static_cast<unsigned>((a + b - 1) / b); }

}  // namespace tyto::cuda
