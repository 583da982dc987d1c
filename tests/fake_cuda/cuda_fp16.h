// Half precision on the host (cuda_runtime_api.h).
#pragma once
#include "src/quant/blocks.h"

struct __half {
  unsigned short bits;
};
inline __half __ushort_as_half(unsigned short bits) { return {bits}; }
inline unsigned short __half_as_ushort(__half value) { return value.bits; }
inline float __half2float(__half value) {
  return tyto::quant::to_float(tyto::quant::F16{value.bits});
}
inline __half __float2half_rn(float value) { return {tyto::quant::to_f16(value).bits}; }
