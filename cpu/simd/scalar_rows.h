// What the row kernels need of an ISA, for the scalar one: a vector of one float. Multiply-add
// rounds twice here: a correctly rounded one would be a call into libm on machines without the
// instruction.
#pragma once
#include "cpu/simd/scalar.h"
#include "src/quant/blocks.h"

#ifndef TYTO_UNROLL
#define TYTO_UNROLL
#endif

namespace tyto::cpu::scalar {
namespace {

constexpr int kLanes = 1;
constexpr int kQueries = 4;  // query vectors that attention handles together

struct Floats {
  float v;
};

inline Floats broadcast(float x) { return {x}; }
inline Floats operator+(Floats a, Floats b) { return {a.v + b.v}; }
inline Floats operator-(Floats a, Floats b) { return {a.v - b.v}; }
inline Floats operator*(Floats a, Floats b) { return {a.v * b.v}; }
inline Floats operator/(Floats a, Floats b) { return {a.v / b.v}; }
inline Floats fma(Floats a, Floats b, Floats c) { return {a.v * b.v + c.v}; }
// Where a or b is NaN: b.
inline Floats max(Floats a, Floats b) { return {a.v > b.v ? a.v : b.v}; }
inline Floats min(Floats a, Floats b) { return {a.v < b.v ? a.v : b.v}; }
inline float first_of(Floats a) { return a.v; }
inline float sum_of(Floats a) { return a.v; }
inline float max_of(Floats a) { return a.v; }
// x < limit ? below : otherwise
inline Floats choose_below(Floats x, Floats limit, Floats below, Floats otherwise) {
  return x.v < limit.v ? below : otherwise;
}
// 2^n, given 1.5 * 2^23 + n.
inline Floats power_of_two(Floats shifted) {
  return {std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted.v) << 23) + 0x3f800000u)};
}
// Lane i stays if first + i lies in [begin, end), and becomes `otherwise` if not.
inline Floats keep_between(Floats a, int first, int begin, int end, float otherwise) {
  return {first >= begin && first < end ? a.v : otherwise};
}
inline Floats swap_neighbors(Floats a) { return a; }  // never called: there are none

template <class T>
Floats load(const T* p) {
  return {quant::to_float(*p)};
}
// The first `lanes` of a vector; the others are 0, and not read or written.
template <class T>
Floats load(const T* p, int) {
  return load(p);
}
inline void store(Floats a, float* p) { *p = a.v; }
inline void store(Floats a, float* p, int) { *p = a.v; }
inline Floats load_codes(const std::byte* p) {
  return {static_cast<float>(static_cast<std::int8_t>(*p))};
}
// Of each byte the nibble from bit `shift` on, less 8.
inline Floats load_nibbles(const std::byte* p, int shift) {
  return {static_cast<float>(static_cast<int>(*p >> shift & std::byte{15}) - 8)};
}
// Rounds to nearest even.
inline void narrow(Floats a, float* p) { *p = a.v; }
inline void narrow(Floats a, quant::BF16* p) { *p = quant::to_bf16(a.v); }
inline void narrow(Floats a, quant::F16* p) { *p = quant::to_f16(a.v); }

}  // namespace
}  // namespace tyto::cpu::scalar
