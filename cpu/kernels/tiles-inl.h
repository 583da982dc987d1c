// AMX tiles (Intel 64 manual, volume 1, chapter 18). A tile holds 16 rows of 64 bytes; one
// instruction adds the products of a tile of activations, [16 records][64 bytes of k], and one of
// weights, [16 words of k][16 lanes], to a tile of sums, [16 records][16 lanes].
#pragma once
#include "cpu/kernels/records-inl.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

// asm, since GCC 12's intrinsics do not say which memory they read. Every statement clobbers
// memory, so that the compiler moves no load or store across it.
template <int kTile>
TYTO_INLINE void load_tile(const void* from, std::size_t stride) {
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(kTile), "r"(from), "r"(stride) : "memory");
}
template <int kTile>
TYTO_INLINE void store_tile(void* to, std::size_t stride = 64) {
  asm volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(kTile), "r"(to), "r"(stride) : "memory");
}
template <int kTile>
TYTO_INLINE void zero_tile() {
  asm volatile("tilezero %%tmm%c0" ::"i"(kTile) : "memory");
}
template <int kSums, int kActivations, int kWeights>
TYTO_INLINE void multiply_signed() {
  asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kActivations), "i"(kWeights)
               : "memory");
}
template <int kSums, int kActivations, int kWeights>
TYTO_INLINE void multiply_unsigned() {  // signed activations, unsigned weights
  asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kActivations), "i"(kWeights)
               : "memory");
}

constexpr int kTileRecords = 16;

// The shapes of the 8 tiles: 0 to kSums - 1 sums, from there to 5 activations, both of so many
// records; 6 and 7 weights, of kDepth bytes of k. Tiles exist between construction and destruction.
template <int kDepth, int kSums = 4>
class Tiles {
 public:
  explicit Tiles(int records = kTileRecords) {
    for (int t = 0; t < 8; ++t) {
      config_.row_bytes[t] = t >= kSums && t < 6 ? kDepth : 64;
      config_.rows[t] = static_cast<std::uint8_t>(t < 6 ? records : kDepth / 4);
    }
    asm volatile("ldtilecfg %0" ::"m"(config_) : "memory");
  }
  Tiles(const Tiles&) = delete;
  ~Tiles() { asm volatile("tilerelease" ::: "memory"); }

 private:
  struct Config {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t rows[16] = {};
  };
  Config config_;
};

using SumTile = std::int32_t[16][kLanes];

constexpr std::size_t kTileWidth = 256;  // k of weights that are expanded at once

// `wanted` records from record `row` on and k = first on, for load_tile: where they lie, or copied
// next to zeros where some are missing; no matter which where all are.
struct TileCodes {
  const std::byte* codes = nullptr;
  std::size_t stride = 0;

  TileCodes() = default;
  TileCodes(const Records& a, int rows, int row, int wanted, std::size_t first, std::size_t width,
            std::byte* padded)
      : codes(a.row(row) + first), stride(a.stride) {
    const int count = rows - row;
    if (count >= wanted) return;
    codes = padded;
    stride = kTileWidth;
    if (count <= 0) return;
    std::memset(padded, 0, static_cast<std::size_t>(wanted) * kTileWidth);
    for (int r = 0; r < count; ++r)
      std::memcpy(padded + static_cast<std::size_t>(r) * kTileWidth, a.row(row + r) + first, width);
  }
};

// Packed panels that lie `stride` bytes apart.
struct PackedPanels {
  const std::byte* first;
  std::size_t stride;

  const std::byte* at(int panel) const { return first + static_cast<std::size_t>(panel) * stride; }
};
// Asks for kBytes of each of the panels that come next, a part at every call, so that they come
// while products are computed.
template <std::size_t kBytes>
class WeightsAhead {
  static_assert(kBytes % 64 == 0);

 public:
  WeightsAhead(const PackedPanels& next, int panels, int calls)
      : next_(next), panels_(panels), step_((kBytes / 64 + count(calls) - 1) / count(calls) * 64) {}
  TYTO_INLINE void ask() {
    const std::size_t end = at_ + step_ < kBytes ? at_ + step_ : kBytes;
    for (; at_ < end; at_ += 64)
      for (int p = 0; p < panels_; ++p) prefetch_second_level(next_.at(p) + at_);
  }

 private:
  static constexpr std::size_t count(int calls) { return static_cast<std::size_t>(calls); }

  const PackedPanels next_;
  const int panels_;
  const std::size_t step_;
  std::size_t at_ = 0;
};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
