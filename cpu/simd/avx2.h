// AVX2 with FMA and F16C, wrapped for the kernels: 8 lanes of 32 bits. The same names as in
// avx512.h.
#pragma once
#include <immintrin.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cpu/simd/target.h"

#define TYTO_ISA avx2
#define TYTO_ISA_TARGET "avx2,fma,f16c"

TYTO_ISA_BEGIN
namespace tyto::cpu::avx2 {
namespace {

constexpr int kLanes = 8, kPackedRows = 4, kTileRows = 2, kFloatTileRows = 6, kExpandRows = 16;
template <int kVariant>
constexpr bool kHasBf16Dot = false;

struct Bytes {
  __m256i v;
};
struct Ints {
  __m256i v;
};
struct Floats {
  __m256 v;
};

TYTO_INLINE __m256i load_256(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
TYTO_INLINE void store_256(__m256i a, void* p) { _mm256_storeu_si256(static_cast<__m256i*>(p), a); }

TYTO_INLINE Bytes load_bytes(const void* p) { return {load_256(p)}; }
TYTO_INLINE Bytes broadcast_bytes(const void* p) {
  std::int32_t four;
  std::memcpy(&four, p, sizeof(four));
  return {_mm256_set1_epi32(four)};
}
TYTO_INLINE void store(Bytes a, void* p) { store_256(a.v, p); }
TYTO_INLINE Bytes operator&(Bytes a, std::uint8_t mask) {
  return {_mm256_and_si256(a.v, _mm256_set1_epi8(static_cast<char>(mask)))};
}
TYTO_INLINE Bytes operator|(Bytes a, Bytes b) { return {_mm256_or_si256(a.v, b.v)}; }
template <int kBits>
TYTO_INLINE Bytes shift_right(Bytes a) {
  return {_mm256_srli_epi32(a.v, kBits)};
}
template <int kBits>
TYTO_INLINE Bytes shift_left(Bytes a) {
  return {_mm256_slli_epi32(a.v, kBits)};
}

TYTO_INLINE Ints load_ints(const void* p) { return {load_256(p)}; }
TYTO_INLINE void store(Ints a, void* p) { store_256(a.v, p); }
TYTO_INLINE Ints broadcast(std::int32_t value) { return {_mm256_set1_epi32(value)}; }
TYTO_INLINE Ints operator+(Ints a, Ints b) { return {_mm256_add_epi32(a.v, b.v)}; }
TYTO_INLINE Ints operator*(Ints a, Ints b) { return {_mm256_mullo_epi32(a.v, b.v)}; }
TYTO_INLINE Ints load_int8(const void* p) {
  return {_mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)))};
}
template <int i>
TYTO_INLINE Ints byte_of_lane(Bytes a) {
  if constexpr (i == 3) return {_mm256_srli_epi32(a.v, 24)};
  return {_mm256_and_si256(_mm256_srli_epi32(a.v, 8 * i), _mm256_set1_epi32(255))};
}
template <int i>
TYTO_INLINE Ints byte_in_halves(Bytes a) {
  constexpr char k0 = i, k1 = i + 4, k2 = i + 8, k3 = i + 12;
  const __m128i from =
      _mm_setr_epi8(k0, -1, k0, -1, k1, -1, k1, -1, k2, -1, k2, -1, k3, -1, k3, -1);
  return {_mm256_shuffle_epi8(a.v, _mm256_broadcastsi128_si256(from))};
}
TYTO_INLINE Ints even_bytes(Bytes a) {
  return {_mm256_and_si256(a.v, _mm256_set1_epi32(0x00ff00ff))};
}
TYTO_INLINE Ints odd_bytes(Bytes a) { return {_mm256_srli_epi16(a.v, 8)}; }
TYTO_INLINE Ints add_pairs(Ints acc, Ints a, Ints b) {
  return {_mm256_add_epi32(acc.v, _mm256_madd_epi16(a.v, b.v))};
}

TYTO_INLINE Ints multiply_pairs(Ints a, Ints b) { return {_mm256_madd_epi16(a.v, b.v)}; }

TYTO_INLINE Floats load_floats(const void* p) {
  return {_mm256_loadu_ps(static_cast<const float*>(p))};
}
TYTO_INLINE Floats load_halves(const void* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)))};
}
TYTO_INLINE Floats broadcast_float(const void* p) {
  float value;
  std::memcpy(&value, p, sizeof(value));
  return {_mm256_set1_ps(value)};
}
TYTO_INLINE Floats high_halves(Bytes a) {
  return {_mm256_castsi256_ps(_mm256_and_si256(a.v, _mm256_set1_epi32(-65536)))};
}
TYTO_INLINE void store(Floats a, float* p) { _mm256_storeu_ps(p, a.v); }
TYTO_INLINE Floats broadcast(float value) { return {_mm256_set1_ps(value)}; }
TYTO_INLINE Floats to_floats(Ints a) { return {_mm256_cvtepi32_ps(a.v)}; }
TYTO_INLINE Floats operator*(Floats a, Floats b) { return {_mm256_mul_ps(a.v, b.v)}; }
TYTO_INLINE Floats fma(Floats a, Floats b, Floats c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
TYTO_INLINE Floats fnma(Floats a, Floats b, Floats c) { return {_mm256_fnmadd_ps(a.v, b.v, c.v)}; }

// vpmaddubsw adds two products of an unsigned and a signed byte into 16 bits and saturates. Codes
// of 4, 5 and 6 bits leave room for 8, 4 and 2 such sums (15 * 127 * 2 * 8 = 30480); codes of 8
// bits are kept signed and their sign moved to the activation: 128 * 127 * 2 = 32512.
constexpr bool kSignedBytes = true;
template <int kBits>
struct Dot {
  static constexpr int kRoom = kBits == 4 ? 8 : kBits == 5 ? 4 : kBits == 6 ? 2 : 1;
  Ints total;
  __m256i pairs;

  template <int kIndex>
  TYTO_INLINE void add(Bytes weights, Bytes activations) {
    if constexpr (kBits == 8)
      pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(weights.v),
                                   _mm256_sign_epi8(activations.v, weights.v));
    else if constexpr (kIndex % kRoom == 0)
      pairs = _mm256_maddubs_epi16(weights.v, activations.v);
    else
      pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(weights.v, activations.v));
    if constexpr (kIndex % kRoom == kRoom - 1)
      total = add_pairs(total, {pairs}, {_mm256_set1_epi16(1)});
  }
  TYTO_INLINE Ints sum() const { return total; }
};
template <int kBits>
TYTO_INLINE Dot<kBits> start_dot(Ints start) {
  return {start, _mm256_setzero_si256()};
}

// 32 k of 4 bits times an integer scale. A half adds 8 sums of two products, at most 30480;
// multiplying by the scale joins the halves.
struct NibbleDot {
  static constexpr bool kScaleInHalves = true;
  __m256i pairs;

  TYTO_INLINE static NibbleDot zero() { return {_mm256_setzero_si256()}; }
  TYTO_INLINE void add(Bytes nibbles, Bytes for_low, Bytes for_high) {
    const Bytes high = shift_right<4>(nibbles) & 0x0f;
    pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16((nibbles & 0x0f).v, for_low.v));
    pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(high.v, for_high.v));
  }
  TYTO_INLINE Ints add_scaled(Ints total, Ints scale) const {
    return add_pairs(total, {pairs}, scale);
  }
};

}  // namespace
}  // namespace tyto::cpu::avx2
TYTO_ISA_END
