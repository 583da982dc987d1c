// Computes  records of activations (matrix.h), and reads their units
#pragma once
#include "cuda/matrix.h"
#include "cuda/prim.cuh"

namespace tyto::cuda {

// Values no larger than this are zeros: their scale would be subnormal.
constexpr float kLeastMagnitude = 0x1p-119f;

// By one warp: lane i has value i of the unit, zero behind the width. A unit with a value that is
// not finite gets NaN for a scale.
__device__ inline void store_unit(const Records& to, int row, int unit, float value) {
  const int lane = lane_index();
  const std::size_t first = static_cast<std::size_t>(row) * to.stride + unit * kUnit;
  if (to.floats) to.floats[first + lane] = value;
  if (to.halves) to.halves[first + lane] = float_to_bf16(value);
  if (!to.codes) return;
  const bool finite = !__any_sync(kAllLanes, !isfinite(value));
  const float largest = warp_max(finite ? fabsf(value) : 0.0f);
  const int code =
      largest > kLeastMagnitude ? static_cast<int>(rintf(value * (127.0f / largest))) : 0;
  int sum = code;
  for (int distance = 8; distance > 0; distance /= 2)
    sum += __shfl_xor_sync(kAllLanes, sum, distance);
  to.codes[first + lane] = static_cast<std::int8_t>(code);
  if (lane % 16 == 0) to.sums[(first + lane) / 16] = static_cast<std::int16_t>(sum);
  if (lane == 0) to.scales[first / kUnit] = finite ? largest / 127.0f : NAN;
}

struct UnitRecord {
  int words[8];
  int sums[2];
  float scale;

  __device__ UnitRecord(const Records& from, int row, int unit) {
    const std::size_t first = static_cast<std::size_t>(row) * from.stride + unit * kUnit;
    load_values(from.codes + first, words);
    const int both = load<int>(from.sums + first / 16);
    sums[0] = static_cast<std::int16_t>(both);
    sums[1] = both >> 16;
    scale = from.scales[first / kUnit];
  }
};

}  // namespace tyto::cuda
