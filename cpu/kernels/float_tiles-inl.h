// BF16 weights by AMX-BF16 tiles (bf16_tiles-inl.h). A panel of pairs is a column of weight tiles
// as it lies, and 16 records are a tile of activations, so the sums stay in tiles for as long as a
// block of k is in the caches. What one instruction computes is the definition, for few rows too.
#pragma once
#include "cpu/kernels/bf16_tiles-inl.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

struct Bf16Tiles : FloatPanels<quant::BF16, true> {
  static constexpr std::size_t kDepth = 32;   // k of a tile
  static constexpr std::size_t kBlock = 256;  // k whose weights stay in the first-level cache,
  static constexpr int kUnblockedRows = 32;   // but up to here weights come from memory in one go
  static constexpr std::size_t kTileBytes = kBf16Tile;
  static constexpr int kLeastRows = 3;  // from so many records on, even a part of a tile is faster

  // Few rows: kPanels panels times kRows records.
  template <int kRows, int kPanels>
  static void multiply_rows(const std::byte* panels, std::size_t k, const std::byte* records,
                            std::size_t stride, float* out, std::size_t out_stride) {
    const std::size_t panel_stride = panel_bytes(k), count = vectors(k);
    Floats acc[kRows][kPanels];
    TYTO_UNROLL
    for (int i = 0; i < kRows * kPanels; ++i) acc[i / kPanels][i % kPanels] = broadcast(0.0f);
    for (std::size_t first = 0; first < count; first += kDepth / 2) {
      Floats even[kRows][kPanels], odd[kRows][kPanels];
      TYTO_UNROLL
      for (int i = 0; i < kRows * kPanels; ++i)
        even[i / kPanels][i % kPanels] = odd[i / kPanels][i % kPanels] = broadcast(0.0f);
      const std::size_t end = first + kDepth / 2 < count ? first + kDepth / 2 : count;
      for (std::size_t i = first; i < end; ++i) {
        Bytes w[kPanels];
        TYTO_UNROLL
        for (int p = 0; p < kPanels; ++p) {
          const std::byte* at = panels + static_cast<std::size_t>(p) * panel_stride + i * kVector;
          prefetch<kVector>(at);
          w[p] = load_bytes(at);
        }
        TYTO_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const Bytes x = broadcast_bytes(records + static_cast<std::size_t>(r) * stride + i * 4);
          const Floats low = high_halves(shift_left<16>(x)), high = high_halves(x);
          TYTO_UNROLL
          for (int p = 0; p < kPanels; ++p) {
            even[r][p] = fma(high_halves(shift_left<16>(w[p])), low, even[r][p]);
            odd[r][p] = fma(high_halves(w[p]), high, odd[r][p]);
          }
        }
      }
      TYTO_UNROLL
      for (int i = 0; i < kRows * kPanels; ++i) {
        const int r = i / kPanels, p = i % kPanels;
        acc[r][p] = acc[r][p] + (even[r][p] + odd[r][p]);
      }
    }
    TYTO_UNROLL
    for (int i = 0; i < kRows * kPanels; ++i)
      store(acc[i / kPanels][i % kPanels],
            out + static_cast<std::size_t>(i / kPanels) * out_stride + i % kPanels * kLanes);
  }

  // k from `first` to `end` of two panels, or one, times whole tiles of records, or a part of one
  // if the tiles are so.
  template <int kPanels>
  static void add_block(const std::byte* panels, std::size_t k, std::size_t first, std::size_t end,
                        const std::byte* records, std::size_t stride, int rows, float* out,
                        std::size_t out_stride) {
    const std::size_t steps = (end - first + kDepth - 1) / kDepth, panel_stride = panel_bytes(k);
    panels += first / 2 * kVector;
    alignas(64) std::byte padded[kPanels * kTileBytes];
    const std::byte* last = nullptr;
    if ((end - first) % kDepth != 0) {
      const std::size_t before = (steps - 1) * kTileBytes;
      std::memset(padded, 0, sizeof(padded));
      for (std::size_t p = 0; p < kPanels; ++p)
        std::memcpy(padded + p * kTileBytes, panels + p * panel_stride + before,
                    vectors(end - first) * kVector - before);
      last = padded;
    }
    const std::byte* x = records + first * 2;
    for (; rows >= 32; rows -= 32, x += 32 * stride, out += 32 * out_stride)
      add_tiles<2, kPanels>(panels, panel_stride, last, steps, x, stride, first == 0, out,
                            out_stride);
    if (rows > 0)
      add_tiles<1, kPanels>(panels, panel_stride, last, steps, x, stride, first == 0, out,
                            out_stride);
  }

  // As many records in a tile as `tiles` has.
  static void multiply_tiles(const Tiles<kVector>&, const std::byte* weights, int panels,
                             std::size_t k, const std::byte* records, std::size_t stride, int rows,
                             float* out, std::size_t out_stride) {
    const std::size_t block = rows <= kUnblockedRows ? k : kBlock;
    for (std::size_t first = 0; first < k; first += block) {
      const std::size_t end = first + block < k ? first + block : k;
      for (int p = 0; p < panels; p += 2) {
        const std::byte* const pair = weights + static_cast<std::size_t>(p) * panel_bytes(k);
        if (p + 1 < panels)
          add_block<2>(pair, k, first, end, records, stride, rows, out + p * kLanes, out_stride);
        else
          add_block<1>(pair, k, first, end, records, stride, rows, out + p * kLanes, out_stride);
      }
    }
  }

  static void multiply(const std::byte* weights, int panels, std::size_t k,
                       const std::byte* activations, std::size_t record_stride, int rows,
                       float* out, std::size_t out_stride, std::byte*) {
    const int whole = rows / kTileRecords * kTileRecords;
    if (whole > 0)
      multiply_tiles(Tiles<kVector>(), weights, panels, k, activations, record_stride, whole, out,
                     out_stride);
    activations += static_cast<std::size_t>(whole) * record_stride;
    out += static_cast<std::size_t>(whole) * out_stride;
    rows -= whole;
    if (rows >= kLeastRows) {
      multiply_tiles(Tiles<kVector>(rows), weights, panels, k, activations, record_stride, rows,
                     out, out_stride);
      return;
    }
    const SubnormalsAreZero as_in_tiles;
    const std::size_t bytes = panel_bytes(k);
    int p = 0;
    if (rows == 1)
      for (; p + 4 <= panels; p += 4, weights += 4 * bytes, out += 4 * kLanes)
        multiply_rows<1, 4>(weights, k, activations, record_stride, out, out_stride);
    for (; p < panels; ++p, weights += bytes, out += kLanes)
      if (rows == 2)
        multiply_rows<2, 1>(weights, k, activations, record_stride, out, out_stride);
      else if (rows == 1)
        multiply_rows<1, 1>(weights, k, activations, record_stride, out, out_stride);
  }
};

template <int kVariant>
requires(kHasTiles<kVariant>) struct Linear<FloatRows<quant::BF16>, kVariant> : Bf16Tiles {
};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
