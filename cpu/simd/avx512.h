// AVX-512 with VNNI, wrapped for the kernels: 16 lanes of 32 bits. See linear-inl.h for what the
// kernels expect of an ISA. Everything between TYTO_ISA_BEGIN and TYTO_ISA_END is compiled for this
// ISA, wherever the file is compiled; standard headers must come before, or bodies of their inline
// functions would end up in baseline code.
#pragma once
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own _mm512_undefined_*
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cpu/simd/target.h"

#define TYTO_ISA avx512
#define TYTO_ISA_TARGET                                                                           \
  "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,amx-tile,amx-int8,amx-" \
  "bf16"

TYTO_ISA_BEGIN
namespace tyto::cpu::avx512 {
namespace {

constexpr int kLanes = 16, kPackedRows = 8, kFloatTileRows = 12;
// Never: unpacking again for every 8 rows costs less than loading a byte per code (64 rows of Q4_0:
// 146 against 112 GMAC/s).
constexpr int kExpandRows = 0, kTileRows = 0;
template <int kVariant>
constexpr bool kHasBf16Dot = (kVariant & 1) != 0;
template <int kVariant>
constexpr bool kHasTiles = (kVariant & 2) != 0;  // AMX-INT8 and AMX-BF16

struct Bytes {
  __m512i v;
};
struct Ints {
  __m512i v;
};
struct Floats {
  __m512 v;
};

TYTO_INLINE Bytes load_bytes(const void* p) { return {_mm512_loadu_si512(p)}; }
TYTO_INLINE Bytes broadcast_bytes(const void* p) {  // the same 4 bytes in every lane
  std::int32_t four;
  std::memcpy(&four, p, sizeof(four));
  return {_mm512_set1_epi32(four)};
}
TYTO_INLINE void store(Bytes a, void* p) { _mm512_storeu_si512(p, a.v); }
TYTO_INLINE Bytes operator&(Bytes a, std::uint8_t mask) {
  return {_mm512_and_si512(a.v, _mm512_set1_epi8(static_cast<char>(mask)))};
}
TYTO_INLINE Bytes operator|(Bytes a, Bytes b) { return {_mm512_or_si512(a.v, b.v)}; }
// Shifts of whole lanes; bits cross bytes.
template <int kBits>
TYTO_INLINE Bytes shift_right(Bytes a) {
  return {_mm512_srli_epi32(a.v, kBits)};
}
template <int kBits>
TYTO_INLINE Bytes shift_left(Bytes a) {
  return {_mm512_slli_epi32(a.v, kBits)};
}

TYTO_INLINE Ints load_ints(const void* p) { return {_mm512_loadu_si512(p)}; }
TYTO_INLINE void store(Ints a, void* p) { _mm512_storeu_si512(p, a.v); }
TYTO_INLINE Ints broadcast(std::int32_t value) { return {_mm512_set1_epi32(value)}; }
TYTO_INLINE Ints operator+(Ints a, Ints b) { return {_mm512_add_epi32(a.v, b.v)}; }
TYTO_INLINE Ints operator*(Ints a, Ints b) { return {_mm512_mullo_epi32(a.v, b.v)}; }
TYTO_INLINE Ints load_int8(const void* p) {  // one per lane
  return {_mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)))};
}
// Byte i of every lane, as an unsigned number.
template <int i>
TYTO_INLINE Ints byte_of_lane(Bytes a) {
  if constexpr (i == 3) return {_mm512_srli_epi32(a.v, 24)};
  return {_mm512_and_si512(_mm512_srli_epi32(a.v, 8 * i), _mm512_set1_epi32(255))};
}
// The same in both 16-bit halves.
template <int i>
TYTO_INLINE Ints byte_in_halves(Bytes a) {
  constexpr char k0 = i, k1 = i + 4, k2 = i + 8, k3 = i + 12;
  const __m128i from =
      _mm_setr_epi8(k0, -1, k0, -1, k1, -1, k1, -1, k2, -1, k2, -1, k3, -1, k3, -1);
  return {_mm512_shuffle_epi8(a.v, _mm512_broadcast_i32x4(from))};
}
// Bytes 0 and 2 of every lane in its halves, or bytes 1 and 3.
TYTO_INLINE Ints even_bytes(Bytes a) {
  return {_mm512_and_si512(a.v, _mm512_set1_epi32(0x00ff00ff))};
}
TYTO_INLINE Ints odd_bytes(Bytes a) { return {_mm512_srli_epi16(a.v, 8)}; }
// acc + a.low * b.low + a.high * b.high of the lanes' 16-bit halves, signed.
TYTO_INLINE Ints add_pairs(Ints acc, Ints a, Ints b) {
  return {_mm512_dpwssd_epi32(acc.v, a.v, b.v)};
}

TYTO_INLINE Ints multiply_pairs(Ints a, Ints b) { return {_mm512_madd_epi16(a.v, b.v)}; }

template <int kBits>
TYTO_INLINE Ints shift_left(Ints a) {
  return {_mm512_slli_epi32(a.v, kBits)};
}
// The low half of every lane of a, and the high half of b.
TYTO_INLINE Ints low_and_high(Ints a, Ints b) {
  return {_mm512_mask_blend_epi16(0xaaaaaaaau, a.v, b.v)};
}
TYTO_INLINE Bytes subtract_bytes(Bytes a, int b) {
  return {_mm512_sub_epi8(a.v, _mm512_set1_epi8(static_cast<char>(b)))};
}
// (code - offset) * scale of every byte, 16 bits: their low bytes and their high bytes. scale: 32
// bits of each lane, in [-128, 127].
struct ScaledBytes {
  Bytes low, high;
};
TYTO_INLINE ScaledBytes scale_bytes(Bytes codes, int offset, Ints scale) {
  // The products of pairs of bytes are added: one of each is zero.
  const __m512i low = _mm512_and_si512(scale.v, _mm512_set1_epi32(0xff)),
                even = _mm512_or_si512(low, _mm512_slli_epi32(low, 16)),
                odd = _mm512_slli_epi16(even, 8);
  __m512i a = _mm512_maddubs_epi16(codes.v, even), b = _mm512_maddubs_epi16(codes.v, odd);
  if (offset != 0) {
    const __m512i start = _mm512_maddubs_epi16(_mm512_set1_epi8(static_cast<char>(offset)), even);
    a = _mm512_sub_epi16(a, start);
    b = _mm512_sub_epi16(b, start);
  }
  const __mmask64 odd_ones = 0xaaaaaaaaaaaaaaaau;
  return {{_mm512_mask_blend_epi8(odd_ones, a, _mm512_slli_epi16(b, 8))},
          {_mm512_mask_blend_epi8(odd_ones, _mm512_srli_epi16(a, 8), b)}};
}

TYTO_INLINE Floats load_floats(const void* p) { return {_mm512_loadu_ps(p)}; }
TYTO_INLINE Floats load_halves(const void* p) {  // 16 half-precision numbers
  return {_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)))};
}
TYTO_INLINE Floats broadcast_float(const void* p) {
  float value;
  std::memcpy(&value, p, sizeof(value));
  return {_mm512_set1_ps(value)};
}
TYTO_INLINE Floats high_halves(Bytes a) {  // the upper 16 bits of lanes as bfloat16
  return {_mm512_castsi512_ps(_mm512_and_si512(a.v, _mm512_set1_epi32(-65536)))};
}
// Two fused multiply-adds of bfloat16 halves, rounded to nearest, subnormals as zero (AVX512-BF16).
TYTO_INLINE Floats dot_bf16(Floats acc, Bytes a, Bytes b) {
  return {_mm512_dpbf16_ps(acc.v, (__m512bh)a.v, (__m512bh)b.v)};
}
TYTO_INLINE void store(Floats a, float* p) { _mm512_storeu_ps(p, a.v); }
TYTO_INLINE Floats broadcast(float value) { return {_mm512_set1_ps(value)}; }
TYTO_INLINE Floats to_floats(Ints a) { return {_mm512_cvtepi32_ps(a.v)}; }
TYTO_INLINE Floats operator+(Floats a, Floats b) { return {_mm512_add_ps(a.v, b.v)}; }
TYTO_INLINE Floats operator*(Floats a, Floats b) { return {_mm512_mul_ps(a.v, b.v)}; }
TYTO_INLINE Floats fma(Floats a, Floats b, Floats c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
TYTO_INLINE Floats fnma(Floats a, Floats b, Floats c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }

// Sums of products of weight codes of kBits bits (unsigned, also those of 8 bits) and activation
// codes, per lane. add() is called for 8 vectors in a row, or 4, before sum().
constexpr bool kSignedBytes = false;
template <int kBits>
struct Dot {
  Ints total;

  template <int kIndex>
  TYTO_INLINE void add(Bytes weights, Bytes activations) {
#if defined(__clang__)
    total.v = _mm512_dpbusd_epi32(total.v, weights.v, activations.v);
#else
    // GCC 12 copies the accumulators of the intrinsic and spills when there are many of them: half
    // the speed with 24.
    asm("vpdpbusd %2, %1, %0" : "+v"(total.v) : "v"(weights.v), "v"(activations.v));
#endif
  }
  TYTO_INLINE Ints sum() const { return total; }
};
template <int kBits>
TYTO_INLINE Dot<kBits> start_dot(Ints start) {
  return {start};
}

// 32 k of 4 bits times an integer scale. High nibbles are multiplied in place, as 16 times their
// value; shifted left by 12, their sum is the upper half. Either sum is at most 16 * 15 * 127.
struct NibbleDot {
  static constexpr bool kScaleInHalves = true;
  Dot<8> low, high;

  TYTO_INLINE static NibbleDot zero() { return {{broadcast(0)}, {broadcast(0)}}; }
  TYTO_INLINE void add(Bytes nibbles, Bytes for_low, Bytes for_high) {
    low.add<0>(nibbles & 0x0f, for_low);
    high.add<0>(nibbles & 0xf0, for_high);
  }
  TYTO_INLINE Ints add_scaled(Ints total, Ints scale) const {
    return add_pairs(total, low_and_high(low.total, shift_left<12>(high.total)), scale);
  }
};

}  // namespace
}  // namespace tyto::cpu::avx512
TYTO_ISA_END
