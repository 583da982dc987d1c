// Computes  what a cache type means: how a head's values are written, and one of them read
#pragma once
#include "cuda/blocks/blocks.h"
#include "cuda/kernels/records.cuh"

namespace tyto::cuda {

// The (layer, kv head) part of the page that holds a slot, at that slot.
__device__ inline std::byte* slot_at(const CacheView& cache, const StepView& step, int sequence,
                                     int kv_head, int slot) {
  const int first = step.first_page[cache.index * step.sequences + sequence];
  const std::uint32_t page = step.pages[first + slot / kPageTokens];
  const std::size_t head = static_cast<std::size_t>(cache.layer) * cache.kv_heads + kv_head;
  return cache.data + page * cache.page_bytes +
         (head * kPageTokens + slot % kPageTokens) * cache.slot_bytes;
}

struct CachedF32 {
  using Value = float;
  __device__ static Value of(float value) { return value; }
  __device__ static float to_float(Value value) { return value; }
};
struct CachedF16 {
  using Value = std::uint16_t;
  __device__ static Value of(float value) { return __half_as_ushort(__float2half_rn(value)); }
  __device__ static float to_float(Value value) { return __half2float(__ushort_as_half(value)); }
};
struct CachedBF16 {
  using Value = std::uint16_t;
  __device__ static Value of(float value) { return float_to_bf16(value); }
  __device__ static float to_float(Value value) { return bf16_to_float(value); }
};

template <class Type>
struct PlainCache {
  using Value = typename Type::Value;
  static std::size_t bytes(int n) { return static_cast<std::size_t>(n) * sizeof(Value); }
  // By one warp.
  __device__ static void store(std::byte* to, const float* values, int n) {
    for (int i = lane_index(); i < n; i += kWarp)
      reinterpret_cast<Value*>(to)[i] = Type::of(values[i]);
  }
  __device__ static float value(const std::byte* from, int, int i) {
    return Type::to_float(reinterpret_cast<const Value*>(from)[i]);
  }
};

// Codes for all groups of 32, one for each lane, then their scales.
struct CacheQ8_0 {
  static constexpr int kGroup = kWarp;
  __host__ __device__ static int groups(int n) { return (n + kGroup - 1) / kGroup; }
  static std::size_t bytes(int n) {
    return static_cast<std::size_t>(groups(n)) * (kGroup + sizeof(float));
  }

  __device__ static void store(std::byte* to, const float* values, int n) {
    for (int g = 0; g < groups(n); ++g) {
      const int i = g * kGroup + lane_index();
      const float value = i < n ? values[i] : 0.0f;
      const bool finite = !__any_sync(kAllLanes, !isfinite(value));
      const float largest = warp_max(finite ? fabsf(value) : 0.0f);
      const float scale = largest > kLeastMagnitude ? largest / 127.0f : 0.0f;
      const int code = scale > 0 ? static_cast<int>(rintf(value / scale)) : 0;
      to[i] = static_cast<std::byte>(code);
      if (lane_index() == 0) scales(to, n)[g] = finite ? scale : NAN;
    }
  }
  __device__ static float value(const std::byte* from, int n, int i) {
    const float scale = scales(const_cast<std::byte*>(from), n)[i / kGroup];
    return static_cast<float>(static_cast<std::int8_t>(from[i])) * scale;
  }

 private:
  __device__ static float* scales(std::byte* at, int n) {
    return reinterpret_cast<float*>(at + groups(n) * kGroup);
  }
};

// Calls use.operator()<Cache>() for a type; q4_0, which is refused when a model is loaded, is
// q8_0 here.
template <class Use>
auto with_cache(CacheType type, const Use& use) {
  switch (type) {
    case CacheType::f32:
      return use.template operator()<PlainCache<CachedF32>>();
    case CacheType::f16:
      return use.template operator()<PlainCache<CachedF16>>();
    case CacheType::bf16:
      return use.template operator()<PlainCache<CachedBF16>>();
    default:
      return use.template operator()<CacheQ8_0>();
  }
}

}  // namespace tyto::cuda
