// Products of BF16 by AMX tiles (Intel 64 manual, TDPBF16PS). A panel of pairs, [k / 2][lane][2],
// is a column of tiles of 32 k as it lies, and 16 rows of k are the other tile. What one
// instruction computes for 32 k:
//   even = fma(w[2i], x[2i], even), odd = fma(w[2i + 1], x[2i + 1], odd), i ascending, from zero
//   acc = acc + (even + odd), all of it with subnormal numbers as zero
#pragma once
#include "cpu/kernels/tiles-inl.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

constexpr std::size_t kLine = 64, kBf16Tile = 16 * kLine;

template <int kSums, int kActivations, int kWeights>
TYTO_INLINE void multiply_bf16() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kActivations),
               "i"(kWeights)
               : "memory");
}

// As the tiles do, whatever the thread's own setting.
class SubnormalsAreZero {
 public:
  SubnormalsAreZero() : before_(_mm_getcsr()) {
    constexpr unsigned kFlushResults = 0x8000, kZeroInputs = 0x0040;
    _mm_setcsr(before_ | kFlushResults | kZeroInputs);
    asm volatile("" ::: "memory");
  }
  SubnormalsAreZero(const SubnormalsAreZero&) = delete;
  ~SubnormalsAreZero() {
    asm volatile("" ::: "memory");
    _mm_setcsr(before_);
  }

 private:
  unsigned before_;
};

constexpr std::size_t kSliceSteps = kSliceK / 32;

// What add_tiles() multiplies: panels where they lie,
struct TilePanels {
  const std::byte* first;
  std::size_t stride;
  TYTO_INLINE const std::byte* tile(std::size_t step, std::size_t p) const {
    return first + p * stride + step * kBf16Tile;
  }
};
// and records that are one piece.
inline Activations whole_records(const std::byte* first, std::size_t stride) {
  return {first, stride, kSliceSteps * kLine};
}
struct NothingAhead {
  template <class Weights>
  TYTO_INLINE void at(const Weights&, std::size_t) {}
};

// Steps [first, last) of 32 k of kPanels panels times kRecords times 16 records, to out: added, or
// as the beginning. weights.tile(step, panel) is a tile; ahead.at(weights, step) asks for what
// comes later.
template <int kRecords, int kPanels, class Weights, class Ahead>
inline void add_tiles(const Weights& weights, const Activations& x, std::size_t first,
                      std::size_t last, bool begin, Ahead ahead, float* out,
                      std::size_t out_stride) {
  const std::size_t row_bytes = out_stride * sizeof(float);
  float *const right = out + kLanes, *const below = out + 16 * out_stride,
               *const corner = below + kLanes;
  if (begin) {
    zero_tile<0>(), zero_tile<1>(), zero_tile<2>(), zero_tile<3>();
  } else {
    load_tile<0>(out, row_bytes);
    if constexpr (kPanels > 1) load_tile<1>(right, row_bytes);
    if constexpr (kRecords > 1) load_tile<2>(below, row_bytes);
    if constexpr (kRecords > 1 && kPanels > 1) load_tile<3>(corner, row_bytes);
  }
  for (std::size_t s = first; s < last; ++s) {
    const std::byte* const records =
        x.first + s / kSliceSteps * x.slice_stride + s % kSliceSteps * kLine;
    load_tile<4>(records, x.stride);
    load_tile<6>(weights.tile(s, 0), kLine);
    multiply_bf16<0, 4, 6>();
    if constexpr (kPanels > 1) {
      load_tile<7>(weights.tile(s, 1), kLine);
      multiply_bf16<1, 4, 7>();
    }
    ahead.at(weights, s);
    if constexpr (kRecords > 1) {
      load_tile<5>(records + 16 * x.stride, x.stride);
      multiply_bf16<2, 5, 6>();
      if constexpr (kPanels > 1) multiply_bf16<3, 5, 7>();
    }
  }
  store_tile<0>(out, row_bytes);
  if constexpr (kPanels > 1) store_tile<1>(right, row_bytes);
  if constexpr (kRecords > 1) store_tile<2>(below, row_bytes);
  if constexpr (kRecords > 1 && kPanels > 1) store_tile<3>(corner, row_bytes);
}

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
