// What the row kernels need of AVX-512 beyond avx512.h; scalar_rows.h says what each function does.
#pragma once
#include "cpu/simd/avx512.h"
#include "src/quant/blocks.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::avx512 {
namespace {

constexpr int kQueries = 8;

TYTO_INLINE Floats operator-(Floats a, Floats b) { return {_mm512_sub_ps(a.v, b.v)}; }
TYTO_INLINE Floats operator/(Floats a, Floats b) { return {_mm512_div_ps(a.v, b.v)}; }
TYTO_INLINE Floats max(Floats a, Floats b) { return {_mm512_max_ps(a.v, b.v)}; }
TYTO_INLINE Floats min(Floats a, Floats b) { return {_mm512_min_ps(a.v, b.v)}; }
TYTO_INLINE float first_of(Floats a) { return _mm512_cvtss_f32(a.v); }

// Halves are combined until one lane is left: a fixed order.
TYTO_INLINE float sum_of(Floats a) {
  const __m256 b = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
  const __m128 d = _mm_add_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
}
TYTO_INLINE float max_of(Floats a) {
  const __m256 b = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 c = _mm_max_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
  const __m128 d = _mm_max_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_max_ss(d, _mm_movehdup_ps(d)));
}

TYTO_INLINE Floats choose_below(Floats x, Floats limit, Floats below, Floats otherwise) {
  const __mmask16 mask = _mm512_cmp_ps_mask(x.v, limit.v, _CMP_LT_OQ);
  return {_mm512_mask_blend_ps(mask, otherwise.v, below.v)};
}
TYTO_INLINE Floats power_of_two(Floats shifted) {
  const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted.v), 23);
  return {_mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(0x3f800000)))};
}
TYTO_INLINE Floats keep_between(Floats a, int first, int begin, int end, float otherwise) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i index = _mm512_add_epi32(lanes, _mm512_set1_epi32(first));
  const __mmask16 from = _mm512_cmpge_epi32_mask(index, _mm512_set1_epi32(begin));
  const __mmask16 mask = _mm512_mask_cmplt_epi32_mask(from, index, _mm512_set1_epi32(end));
  return {_mm512_mask_blend_ps(mask, _mm512_set1_ps(otherwise), a.v)};
}
TYTO_INLINE Floats swap_neighbors(Floats a) { return {_mm512_permute_ps(a.v, 0xb1)}; }

TYTO_INLINE Floats widen(quant::BF16, __m256i bits) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
}
TYTO_INLINE Floats widen(quant::F16, __m256i bits) { return {_mm512_cvtph_ps(bits)}; }

TYTO_INLINE Floats load(const float* p) { return {_mm512_loadu_ps(p)}; }
TYTO_INLINE Floats load(const float* p, int lanes) {
  return {_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << lanes) - 1), p)};
}
template <class Half>
TYTO_INLINE Floats load(const Half* p) {
  return widen(Half(), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
template <class Half>
TYTO_INLINE Floats load(const Half* p, int lanes) {
  return widen(Half(), _mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << lanes) - 1), p));
}
TYTO_INLINE void store(Floats a, float* p, int lanes) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << lanes) - 1), a.v);
}

TYTO_INLINE Floats load_codes(const std::byte* p) { return to_floats(load_int8(p)); }
TYTO_INLINE Floats load_nibbles(const std::byte* p, int shift) {
  const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  const __m512i moved = _mm512_srl_epi32(bytes, _mm_cvtsi32_si128(shift));
  const __m512i codes = _mm512_and_si512(moved, _mm512_set1_epi32(15));
  return {_mm512_cvtepi32_ps(_mm512_sub_epi32(codes, _mm512_set1_epi32(8)))};
}

TYTO_INLINE void narrow(Floats a, float* p) { store(a, p); }
TYTO_INLINE void narrow(Floats a, quant::BF16* p) {
  const __m512i bits = _mm512_castps_si512(a.v), upper = _mm512_srli_epi32(bits, 16);
  const __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
  const __m512i bias = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
  const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, bias), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  const __m512i result = _mm512_mask_or_epi32(rounded, nan, upper, _mm512_set1_epi32(0x40));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(result));
}
TYTO_INLINE void narrow(Floats a, quant::F16* p) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

}  // namespace
}  // namespace tyto::cpu::avx512
TYTO_ISA_END
