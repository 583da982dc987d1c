// NEON (Advanced SIMD) with the dot products of bytes, wrapped for the kernels: 8 lanes of 32 bits
// in two registers, lanes 0 to 3 and 4 to 7. The same names as in avx512.h. Two, since an
// activation that is broadcast then serves two instructions, and 32 registers hold a tile of them.
#pragma once
#include <arm_neon.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cpu/simd/target.h"

#define TYTO_ISA neon
// I8MM is for the variant that multiplies by it; compilers do not use it of themselves.
#if defined(__clang__)
#define TYTO_ISA_TARGET "dotprod,i8mm"
#else
#define TYTO_ISA_TARGET "arch=armv8.2-a+dotprod+i8mm"
#endif

TYTO_ISA_BEGIN
namespace tyto::cpu::neon {
namespace {

constexpr int kLanes = 8, kPackedRows = 4, kTileRows = 4, kFloatTileRows = 4, kExpandRows = 16;
template <int kVariant>
constexpr bool kHasBf16Dot = false;  // BFDOT rounds by rules of its own
template <int kVariant>
constexpr bool kHasByteMatrices = kVariant == 1;  // I8MM

struct Bytes {
  uint8x16_t low, high;
};
struct Ints {
  int32x4_t low, high;
};
struct Floats {
  float32x4_t low, high;
};

TYTO_INLINE Bytes load_bytes(const void* p) {
  const auto* bytes = static_cast<const std::uint8_t*>(p);
  return {vld1q_u8(bytes), vld1q_u8(bytes + 16)};
}
TYTO_INLINE Bytes broadcast_bytes(const void* p) {
  std::uint32_t four;
  std::memcpy(&four, p, sizeof(four));
  const uint8x16_t all = vreinterpretq_u8_u32(vdupq_n_u32(four));
  return {all, all};
}
TYTO_INLINE void store(Bytes a, void* p) {
  auto* bytes = static_cast<std::uint8_t*>(p);
  vst1q_u8(bytes, a.low);
  vst1q_u8(bytes + 16, a.high);
}
TYTO_INLINE Bytes operator&(Bytes a, std::uint8_t mask) {
  const uint8x16_t all = vdupq_n_u8(mask);
  return {vandq_u8(a.low, all), vandq_u8(a.high, all)};
}
TYTO_INLINE Bytes operator|(Bytes a, Bytes b) {
  return {vorrq_u8(a.low, b.low), vorrq_u8(a.high, b.high)};
}
template <int kBits>
TYTO_INLINE uint8x16_t shift_lanes(uint8x16_t a) {  // left; right where negative
  const uint32x4_t lanes = vreinterpretq_u32_u8(a);
  if constexpr (kBits > 0) return vreinterpretq_u8_u32(vshlq_n_u32(lanes, kBits));
  if constexpr (kBits < 0) return vreinterpretq_u8_u32(vshrq_n_u32(lanes, -kBits));
  return a;
}
template <int kBits>
TYTO_INLINE Bytes shift_right(Bytes a) {
  return {shift_lanes<-kBits>(a.low), shift_lanes<-kBits>(a.high)};
}
template <int kBits>
TYTO_INLINE Bytes shift_left(Bytes a) {
  return {shift_lanes<kBits>(a.low), shift_lanes<kBits>(a.high)};
}

TYTO_INLINE Ints load_ints(const void* p) {
  const Bytes bytes = load_bytes(p);
  return {vreinterpretq_s32_u8(bytes.low), vreinterpretq_s32_u8(bytes.high)};
}
TYTO_INLINE void store(Ints a, void* p) {
  store(Bytes{vreinterpretq_u8_s32(a.low), vreinterpretq_u8_s32(a.high)}, p);
}
TYTO_INLINE Ints broadcast(std::int32_t value) {
  const int32x4_t all = vdupq_n_s32(value);
  return {all, all};
}
TYTO_INLINE Ints operator+(Ints a, Ints b) {
  return {vaddq_s32(a.low, b.low), vaddq_s32(a.high, b.high)};
}
TYTO_INLINE Ints operator*(Ints a, Ints b) {
  return {vmulq_s32(a.low, b.low), vmulq_s32(a.high, b.high)};
}
TYTO_INLINE Ints load_int8(const void* p) {
  const int16x8_t wide = vmovl_s8(vld1_s8(static_cast<const std::int8_t*>(p)));
  return {vmovl_s16(vget_low_s16(wide)), vmovl_high_s16(wide)};
}
template <int i>
TYTO_INLINE Ints byte_of_lane(Bytes a) {
  const Bytes moved = shift_right<8 * i>(a);
  const int32x4_t byte = vdupq_n_s32(255);
  return {vandq_s32(vreinterpretq_s32_u8(moved.low), byte),
          vandq_s32(vreinterpretq_s32_u8(moved.high), byte)};
}
TYTO_INLINE Ints even_bytes(Bytes a) {
  const uint16x8_t byte = vdupq_n_u16(255);
  return {vreinterpretq_s32_u16(vandq_u16(vreinterpretq_u16_u8(a.low), byte)),
          vreinterpretq_s32_u16(vandq_u16(vreinterpretq_u16_u8(a.high), byte))};
}
TYTO_INLINE Ints odd_bytes(Bytes a) {
  return {vreinterpretq_s32_u16(vshrq_n_u16(vreinterpretq_u16_u8(a.low), 8)),
          vreinterpretq_s32_u16(vshrq_n_u16(vreinterpretq_u16_u8(a.high), 8))};
}
TYTO_INLINE int32x4_t multiply_halves(int32x4_t a, int32x4_t b) {
  const int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
  return vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y));
}
TYTO_INLINE Ints multiply_pairs(Ints a, Ints b) {
  return {multiply_halves(a.low, b.low), multiply_halves(a.high, b.high)};
}
TYTO_INLINE Ints add_pairs(Ints acc, Ints a, Ints b) { return acc + multiply_pairs(a, b); }

TYTO_INLINE Floats load_floats(const void* p) {
  const auto* floats = static_cast<const float*>(p);
  return {vld1q_f32(floats), vld1q_f32(floats + 4)};
}
TYTO_INLINE Floats widen_halves(uint16x8_t bits) {
  const float16x8_t halves = vreinterpretq_f16_u16(bits);
  return {vcvt_f32_f16(vget_low_f16(halves)), vcvt_high_f32_f16(halves)};
}
TYTO_INLINE Floats load_halves(const void* p) {
  return widen_halves(vreinterpretq_u16_u8(vld1q_u8(static_cast<const std::uint8_t*>(p))));
}
TYTO_INLINE Floats broadcast(float value) {
  const float32x4_t all = vdupq_n_f32(value);
  return {all, all};
}
TYTO_INLINE Floats broadcast_float(const void* p) {
  float value;
  std::memcpy(&value, p, sizeof(value));
  return broadcast(value);
}
TYTO_INLINE Floats high_halves(Bytes a) {
  const uint32x4_t mask = vdupq_n_u32(0xffff0000u);
  return {vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_u8(a.low), mask)),
          vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_u8(a.high), mask))};
}
TYTO_INLINE void store(Floats a, float* p) {
  vst1q_f32(p, a.low);
  vst1q_f32(p + 4, a.high);
}
TYTO_INLINE Floats to_floats(Ints a) { return {vcvtq_f32_s32(a.low), vcvtq_f32_s32(a.high)}; }
TYTO_INLINE Floats operator*(Floats a, Floats b) {
  return {vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)};
}
TYTO_INLINE Floats fma(Floats a, Floats b, Floats c) {
  return {vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)};
}
TYTO_INLINE Floats fnma(Floats a, Floats b, Floats c) {
  return {vfmsq_f32(c.low, a.low, b.low), vfmsq_f32(c.high, a.high, b.high)};
}

// Both operands are signed: codes of up to 6 bits are small enough, those of 8 are kept signed.
// asm, since clang before 16 has the intrinsic only where a whole file is compiled for the
// extension; volatile, which keeps the order as written: else GCC 12 computes one sum after the
// other, waits for each product, and keeps what was loaded on the stack.
constexpr bool kSignedBytes = true;
TYTO_INLINE void add_dot(int32x4_t& acc, uint8x16_t a, uint8x16_t b) {
  asm volatile("sdot %0.4s, %1.16b, %2.16b" : "+w"(acc) : "w"(a), "w"(b));
}
template <int kBits>
struct Dot {
  Ints total;

  template <int kIndex>
  TYTO_INLINE void add(Bytes weights, Bytes activations) {
    add_dot(total.low, weights.low, activations.low);
    add_dot(total.high, weights.high, activations.high);
  }
  TYTO_INLINE Ints sum() const { return total; }
};
template <int kBits>
TYTO_INLINE Dot<kBits> start_dot(Ints start) {
  return {start};
}

// 32 k of 4 bits times an integer scale of each lane.
struct NibbleDot {
  static constexpr bool kScaleInHalves = false;
  Dot<4> dot;

  TYTO_INLINE static NibbleDot zero() { return {{broadcast(0)}}; }
  TYTO_INLINE void add(Bytes nibbles, Bytes for_low, Bytes for_high) {
    dot.add<0>(nibbles & 0x0f, for_low);
    dot.add<0>(shift_right<4>(nibbles) & 0x0f, for_high);
  }
  TYTO_INLINE Ints add_scaled(Ints total, Ints scale) const { return total + dot.total * scale; }
};

}  // namespace
}  // namespace tyto::cpu::neon
TYTO_ISA_END
