// Computes  what a cache type means: how a head's values are written, and one, four or eight read
#pragma once
#include "cuda/blocks/blocks.h"
#include "cuda/kernels/records.cuh"
#include "src/quant/e4m3.h"

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

constexpr std::size_t whole_pieces(std::size_t bytes) { return (bytes + 15) / 16 * 16; }

// The kinds of 16-bit floats that tensor cores multiply.
struct HalfMath {
  __device__ static unsigned pair(float low, float high) {
    return static_cast<unsigned>(__half_as_ushort(__float2half_rn(low))) |
           static_cast<unsigned>(__half_as_ushort(__float2half_rn(high))) << 16;
  }
  __device__ static void multiply(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    multiply_f16(c, a, b);
  }
};
struct BF16Math {
  __device__ static unsigned pair(float low, float high) {
    return static_cast<unsigned>(float_to_bf16(low)) | static_cast<unsigned>(float_to_bf16(high))
                                                           << 16;
  }
  __device__ static void multiply(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    multiply_bf16(c, a, b);
  }
};

struct CachedF32 {
  using Value = float;
  using Math = void;
  __device__ static Value of(float value) { return value; }
  __device__ static float to_float(Value value) { return value; }
};
struct CachedF16 {
  using Value = std::uint16_t;
  using Math = HalfMath;
  __device__ static Value of(float value) { return __half_as_ushort(__float2half_rn(value)); }
  __device__ static float to_float(Value value) { return __half2float(__ushort_as_half(value)); }
};
struct CachedBF16 {
  using Value = std::uint16_t;
  using Math = BF16Math;
  __device__ static Value of(float value) { return float_to_bf16(value); }
  __device__ static float to_float(Value value) { return bf16_to_float(value); }
};

template <class Type>
struct PlainCache {
  using Value = typename Type::Value;
  using Math = typename Type::Math;
  static std::size_t bytes(int n) {
    return whole_pieces(static_cast<std::size_t>(n) * sizeof(Value));
  }
  // By one warp.
  __device__ static void store(std::byte* to, const float* values, int n) {
    for (int i = lane_index(); i < n; i += kWarp)
      reinterpret_cast<Value*>(to)[i] = Type::of(values[i]);
  }
  __device__ static float value(const std::byte* from, int, int i) {
    return Type::to_float(reinterpret_cast<const Value*>(from)[i]);
  }
  // Values i to i + 7 or i + 3, for Math; i is a multiple of 8 or 4.
  __device__ static uint4 eight(const std::byte* from, int, int i) {
    return load<uint4>(from + i * 2);
  }
  __device__ static uint2 four(const std::byte* from, int, int i) {
    return load<uint2>(from + i * 2);
  }
};

// Codes for all groups of 32, one for each lane, then their scales.
struct CacheQ8_0 {
  static constexpr int kLanes = kWarp;
  using Math = BF16Math;
  __host__ __device__ static int groups(int n) { return (n + kLanes - 1) / kLanes; }
  static std::size_t bytes(int n) {
    return whole_pieces(static_cast<std::size_t>(groups(n)) * (kLanes + sizeof(float)));
  }

  __device__ static void store(std::byte* to, const float* values, int n) {
    for (int g = 0; g < groups(n); ++g) {
      const int i = g * kLanes + lane_index();
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
    return static_cast<float>(static_cast<std::int8_t>(from[i])) * scale_of(from, n, i);
  }
  __device__ static uint4 eight(const std::byte* from, int n, int i) {
    const auto codes = load<uint2>(from + i);
    const float scale = scale_of(from, n, i);
    const uint2 low = four_of(codes.x, scale), high = four_of(codes.y, scale);
    return {low.x, low.y, high.x, high.y};
  }
  __device__ static uint2 four(const std::byte* from, int n, int i) {
    return four_of(load<unsigned>(from + i), scale_of(from, n, i));
  }

 private:
  __device__ static float* scales(std::byte* at, int n) {
    return reinterpret_cast<float*>(at + groups(n) * kLanes);
  }
  __device__ static float scale_of(const std::byte* from, int n, int i) {
    return scales(const_cast<std::byte*>(from), n)[i / kLanes];
  }
  __device__ static uint2 four_of(unsigned codes, float scale) {
    const auto value = [&](int i) {
      return static_cast<float>(static_cast<std::int8_t>(codes >> 8 * i)) * scale;
    };
    return {Math::pair(value(0), value(1)), Math::pair(value(2), value(3))};
  }
};

struct CacheE4M3 {
  using Math = BF16Math;  // has all of its values
  static std::size_t bytes(int n) { return whole_pieces(static_cast<std::size_t>(n)); }

  __device__ static void store(std::byte* to, const float* values, int n) {
    for (int i = lane_index(); i < n; i += kWarp)
      to[i] = static_cast<std::byte>(quant::to_e4m3(values[i]).bits);
  }
  __device__ static float value(const std::byte* from, int, int i) {
    return to_float(quant::E4M3{static_cast<std::uint8_t>(from[i])});
  }
  __device__ static uint4 eight(const std::byte* from, int, int i) {
    const auto bits = load<uint2>(from + i);
    const uint2 low = four_of(bits.x), high = four_of(bits.y);
    return {low.x, low.y, high.x, high.y};
  }
  __device__ static uint2 four(const std::byte* from, int, int i) {
    return four_of(load<unsigned>(from + i));
  }

 private:
  // Exponent and fraction move to where a float has them, and a product with 2^120 puts the
  // exponent right, of subnormal values too.
  __device__ static uint2 four_of(unsigned bits) {
    const auto value = [&](int i) {
      const unsigned byte = bits >> 8 * i & 0xffu;
      if ((byte & 0x7fu) == 0x7fu) return NAN;
      return __int_as_float(static_cast<int>((byte & 0x80u) << 24 | (byte & 0x7fu) << 20)) *
             0x1p120f;
    };
    return {Math::pair(value(0), value(1)), Math::pair(value(2), value(3))};
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
    case CacheType::f8_e4m3:
      return use.template operator()<CacheE4M3>();
    default:
      return use.template operator()<CacheQ8_0>();
  }
}

}  // namespace tyto::cuda
