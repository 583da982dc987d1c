// What the row kernels need of NEON beyond neon.h; scalar_rows.h says what each function does.
#pragma once
#include "cpu/simd/neon.h"
#include "src/quant/blocks.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::neon {
namespace {

constexpr int kQueries = 4;

TYTO_INLINE Floats operator+(Floats a, Floats b) {
  return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)};
}
TYTO_INLINE Floats operator-(Floats a, Floats b) {
  return {vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)};
}
TYTO_INLINE Floats operator/(Floats a, Floats b) {
  return {vdivq_f32(a.low, b.low), vdivq_f32(a.high, b.high)};
}
// FMAX and FMIN give NaN where either is: not what is wanted.
TYTO_INLINE float32x4_t larger(float32x4_t a, float32x4_t b) {
  return vbslq_f32(vcgtq_f32(a, b), a, b);
}
TYTO_INLINE float32x4_t smaller(float32x4_t a, float32x4_t b) {
  return vbslq_f32(vcltq_f32(a, b), a, b);
}
TYTO_INLINE Floats max(Floats a, Floats b) {
  return {larger(a.low, b.low), larger(a.high, b.high)};
}
TYTO_INLINE Floats min(Floats a, Floats b) {
  return {smaller(a.low, b.low), smaller(a.high, b.high)};
}
TYTO_INLINE float first_of(Floats a) { return vgetq_lane_f32(a.low, 0); }

// Halves are combined until one lane is left: a fixed order.
TYTO_INLINE float sum_of(Floats a) {
  const float32x4_t c = vaddq_f32(a.low, a.high);
  const float32x2_t d = vadd_f32(vget_low_f32(c), vget_high_f32(c));
  return vget_lane_f32(d, 0) + vget_lane_f32(d, 1);
}
TYTO_INLINE float max_of(Floats a) {
  const float32x4_t c = larger(a.low, a.high);
  const float32x4_t d = larger(c, vextq_f32(c, c, 2));
  return vgetq_lane_f32(larger(d, vextq_f32(d, d, 1)), 0);
}

TYTO_INLINE Floats choose_below(Floats x, Floats limit, Floats below, Floats otherwise) {
  return {vbslq_f32(vcltq_f32(x.low, limit.low), below.low, otherwise.low),
          vbslq_f32(vcltq_f32(x.high, limit.high), below.high, otherwise.high)};
}
TYTO_INLINE float32x4_t power_of_two(float32x4_t shifted) {
  const uint32x4_t exponent = vshlq_n_u32(vreinterpretq_u32_f32(shifted), 23);
  return vreinterpretq_f32_u32(vaddq_u32(exponent, vdupq_n_u32(0x3f800000u)));
}
TYTO_INLINE Floats power_of_two(Floats shifted) {
  return {power_of_two(shifted.low), power_of_two(shifted.high)};
}
TYTO_INLINE float32x4_t keep_between(float32x4_t a, int first, int begin, int end,
                                     float otherwise) {
  const std::int32_t numbers[4] = {0, 1, 2, 3};
  const int32x4_t index = vaddq_s32(vld1q_s32(numbers), vdupq_n_s32(first));
  const uint32x4_t mask =
      vandq_u32(vcgeq_s32(index, vdupq_n_s32(begin)), vcltq_s32(index, vdupq_n_s32(end)));
  return vbslq_f32(mask, a, vdupq_n_f32(otherwise));
}
TYTO_INLINE Floats keep_between(Floats a, int first, int begin, int end, float otherwise) {
  return {keep_between(a.low, first, begin, end, otherwise),
          keep_between(a.high, first + 4, begin, end, otherwise)};
}
TYTO_INLINE Floats swap_neighbors(Floats a) { return {vrev64q_f32(a.low), vrev64q_f32(a.high)}; }

TYTO_INLINE Floats widen(quant::BF16, uint16x8_t bits) {
  return {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(bits), 16)),
          vreinterpretq_f32_u32(vshll_high_n_u16(bits, 16))};
}
TYTO_INLINE Floats widen(quant::F16, uint16x8_t bits) { return widen_halves(bits); }

TYTO_INLINE Floats load(const float* p) { return load_floats(p); }
template <class Half>
TYTO_INLINE Floats load(const Half* p) {
  return widen(Half(), vreinterpretq_u16_u8(vld1q_u8(reinterpret_cast<const std::uint8_t*>(p))));
}
template <class Element>
TYTO_INLINE Floats load(const Element* p, int lanes) {
  if (lanes == kLanes) return load(p);
  Element whole[kLanes] = {};
  for (int i = 0; i < lanes; ++i) whole[i] = p[i];
  return load(whole);
}
TYTO_INLINE void store(Floats a, float* p, int lanes) {
  if (lanes == kLanes) return store(a, p);
  float whole[kLanes];
  store(a, whole);
  for (int i = 0; i < lanes; ++i) p[i] = whole[i];
}

TYTO_INLINE Floats load_codes(const std::byte* p) { return to_floats(load_int8(p)); }
TYTO_INLINE Floats load_nibbles(const std::byte* p, int shift) {
  const uint8x8_t moved = vshl_u8(vld1_u8(reinterpret_cast<const std::uint8_t*>(p)),
                                  vdup_n_s8(static_cast<std::int8_t>(-shift)));
  const int8x8_t codes = vsub_s8(vreinterpret_s8_u8(vand_u8(moved, vdup_n_u8(15))), vdup_n_s8(8));
  const int16x8_t wide = vmovl_s8(codes);
  return to_floats({vmovl_s16(vget_low_s16(wide)), vmovl_high_s16(wide)});
}

TYTO_INLINE void store_halves(uint16x8_t bits, void* p) {
  vst1q_u8(static_cast<std::uint8_t*>(p), vreinterpretq_u8_u16(bits));
}
TYTO_INLINE uint16x4_t narrow_to_bf16(float32x4_t a) {
  const uint32x4_t bits = vreinterpretq_u32_f32(a), upper = vshrq_n_u32(bits, 16);
  const uint32x4_t bias = vaddq_u32(vandq_u32(upper, vdupq_n_u32(1)), vdupq_n_u32(0x7fff));
  const uint32x4_t rounded = vshrq_n_u32(vaddq_u32(bits, bias), 16);
  const uint32x4_t quiet = vorrq_u32(upper, vdupq_n_u32(0x40));
  return vmovn_u32(vbslq_u32(vceqq_f32(a, a), rounded, quiet));
}
TYTO_INLINE void narrow(Floats a, float* p) { store(a, p); }
TYTO_INLINE void narrow(Floats a, quant::BF16* p) {
  store_halves(vcombine_u16(narrow_to_bf16(a.low), narrow_to_bf16(a.high)), p);
}
TYTO_INLINE void narrow(Floats a, quant::F16* p) {
  store_halves(vreinterpretq_u16_f16(vcvt_high_f16_f32(vcvt_f16_f32(a.low), a.high)), p);
}

}  // namespace
}  // namespace tyto::cpu::neon
TYTO_ISA_END
