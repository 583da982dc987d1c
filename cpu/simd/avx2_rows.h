// What the row kernels need of AVX2 beyond avx2.h; scalar_rows.h says what each function does.
#pragma once
#include "cpu/simd/avx2.h"
#include "src/quant/blocks.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::avx2 {
namespace {

constexpr int kQueries = 4;

TYTO_INLINE Floats operator+(Floats a, Floats b) { return {_mm256_add_ps(a.v, b.v)}; }
TYTO_INLINE Floats operator-(Floats a, Floats b) { return {_mm256_sub_ps(a.v, b.v)}; }
TYTO_INLINE Floats operator/(Floats a, Floats b) { return {_mm256_div_ps(a.v, b.v)}; }
TYTO_INLINE Floats max(Floats a, Floats b) { return {_mm256_max_ps(a.v, b.v)}; }
TYTO_INLINE Floats min(Floats a, Floats b) { return {_mm256_min_ps(a.v, b.v)}; }
TYTO_INLINE float first_of(Floats a) { return _mm256_cvtss_f32(a.v); }

// Halves are combined until one lane is left: a fixed order.
TYTO_INLINE float sum_of(Floats a) {
  const __m128 c = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 d = _mm_add_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
}
TYTO_INLINE float max_of(Floats a) {
  const __m128 c = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 d = _mm_max_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_max_ss(d, _mm_movehdup_ps(d)));
}

TYTO_INLINE Floats choose_below(Floats x, Floats limit, Floats below, Floats otherwise) {
  return {_mm256_blendv_ps(otherwise.v, below.v, _mm256_cmp_ps(x.v, limit.v, _CMP_LT_OQ))};
}
TYTO_INLINE Floats power_of_two(Floats shifted) {
  const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted.v), 23);
  return {_mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(0x3f800000)))};
}
// All bits set in the lanes whose number, counted from `first`, lies in [begin, end).
TYTO_INLINE __m256i lanes_between(int first, int begin, int end) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i index = _mm256_add_epi32(lanes, _mm256_set1_epi32(first));
  return _mm256_and_si256(_mm256_cmpgt_epi32(index, _mm256_set1_epi32(begin - 1)),
                          _mm256_cmpgt_epi32(_mm256_set1_epi32(end), index));
}
TYTO_INLINE Floats keep_between(Floats a, int first, int begin, int end, float otherwise) {
  const __m256 mask = _mm256_castsi256_ps(lanes_between(first, begin, end));
  return {_mm256_blendv_ps(_mm256_set1_ps(otherwise), a.v, mask)};
}
TYTO_INLINE Floats swap_neighbors(Floats a) { return {_mm256_permute_ps(a.v, 0xb1)}; }

TYTO_INLINE Floats widen(quant::BF16, __m128i bits) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16))};
}
TYTO_INLINE Floats widen(quant::F16, __m128i bits) { return {_mm256_cvtph_ps(bits)}; }

TYTO_INLINE Floats load(const float* p) { return {_mm256_loadu_ps(p)}; }
TYTO_INLINE Floats load(const float* p, int lanes) {
  if (lanes == kLanes) return load(p);
  return {_mm256_maskload_ps(p, lanes_between(0, 0, lanes))};
}
template <class Half>
TYTO_INLINE Floats load(const Half* p) {
  return widen(Half(), _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
template <class Half>
TYTO_INLINE Floats load(const Half* p, int lanes) {
  if (lanes == kLanes) return load(p);
  Half whole[kLanes] = {};
  for (int i = 0; i < lanes; ++i) whole[i] = p[i];
  return load(whole);
}
TYTO_INLINE void store(Floats a, float* p, int lanes) {
  if (lanes == kLanes)
    store(a, p);
  else
    _mm256_maskstore_ps(p, lanes_between(0, 0, lanes), a.v);
}

TYTO_INLINE Floats load_codes(const std::byte* p) { return to_floats(load_int8(p)); }
TYTO_INLINE Floats load_nibbles(const std::byte* p, int shift) {
  const __m256i bytes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  const __m256i moved = _mm256_srl_epi32(bytes, _mm_cvtsi32_si128(shift));
  const __m256i codes = _mm256_and_si256(moved, _mm256_set1_epi32(15));
  return {_mm256_cvtepi32_ps(_mm256_sub_epi32(codes, _mm256_set1_epi32(8)))};
}

TYTO_INLINE void narrow(Floats a, float* p) { store(a, p); }
TYTO_INLINE void narrow(Floats a, quant::BF16* p) {
  const __m256i bits = _mm256_castps_si256(a.v), upper = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
  const __m256i bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
  const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, bias), 16);
  const __m256 nan = _mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q);
  const __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
  const __m256i result = _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(nan));
  const __m128i low = _mm256_castsi256_si128(result), high = _mm256_extracti128_si256(result, 1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packus_epi32(low, high));
}
TYTO_INLINE void narrow(Floats a, quant::F16* p) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm256_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

}  // namespace
}  // namespace tyto::cpu::avx2
TYTO_ISA_END
