// BF16 weights by AMX-BF16 tiles (bf16_tiles-inl.h). A panel of pairs is a column of weight tiles
// as it lies, and 16 records are a tile of activations, so the sums stay in tiles for as long as a
// block of k is in the caches. What one instruction computes is the definition, for few rows too.
#pragma once
#include "cpu/kernels/bf16_tiles-inl.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

struct Bf16Tiles : FloatPanels<quant::BF16, true> {
  static constexpr std::size_t kDepth = 32;  // k of a tile
  static constexpr std::size_t kTileBytes = kBf16Tile;
  static constexpr int kLeastRows = 3;  // from so many records on, even a part of a tile is faster
  // Up to here weights come from memory in one go, and sums stay in tiles over all k.
  static constexpr int kUnslicedRows = 32;
  // A slice of so many records, and the next one, stay in the second-level cache.
  static constexpr TaskShape kTask = {512, 128};

  // Few rows: kPanels panels times kRows records.
  template <int kRows, int kPanels>
  static void multiply_rows(const std::byte* panels, std::size_t k, const Activations& x,
                            float* out, std::size_t out_stride) {
    const std::size_t panel_stride = panel_bytes(k), count = vectors(k);
    Floats acc[kRows][kPanels];
    TYTO_UNROLL
    for (int i = 0; i < kRows * kPanels; ++i) acc[i / kPanels][i % kPanels] = broadcast(0.0f);
    for (std::size_t first = 0; first < count; first += kDepth / 2) {
      const std::byte* const records =
          x.first + first / kSliceVectors * x.slice_stride + first % kSliceVectors * kStepBytes;
      Floats even[kRows][kPanels], odd[kRows][kPanels];
      TYTO_UNROLL
      for (int i = 0; i < kRows * kPanels; ++i)
        even[i / kPanels][i % kPanels] = odd[i / kPanels][i % kPanels] = broadcast(0.0f);
      const std::size_t steps = std::min(count - first, kDepth / 2);
      for (std::size_t i = 0; i < steps; ++i, panels += kVector) {
        Bytes w[kPanels];
        TYTO_UNROLL
        for (std::size_t p = 0; p < kPanels; ++p) {
          prefetch<kVector>(panels + p * panel_stride);
          w[p] = load_bytes(panels + p * panel_stride);
        }
        TYTO_UNROLL
        for (std::size_t r = 0; r < kRows; ++r) {
          const Bytes pair = broadcast_bytes(records + r * x.stride + i * kStepBytes);
          const Floats low = high_halves(shift_left<16>(pair)), high = high_halves(pair);
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

  // kPanels panels as tiles, one for each step of 32 k; the last with zeros where k ends within it.
  template <int kPanels>
  class Weights {
   public:
    Weights(const std::byte* panels, std::size_t k)
        : panels_(panels), stride_(panel_bytes(k)), whole_(k / kDepth) {
      if (k % kDepth == 0) return;
      std::memset(last_, 0, sizeof(last_));
      for (std::size_t p = 0; p < kPanels; ++p)
        std::memcpy(last_ + p * kTileBytes, panels + p * stride_ + whole_ * kTileBytes,
                    vectors(k % kDepth) * kVector);
    }
    TYTO_INLINE const std::byte* tile(std::size_t step, std::size_t p) const {
      return step < whole_ ? panels_ + p * stride_ + step * kTileBytes : last_ + p * kTileBytes;
    }

   private:
    const std::byte* const panels_;
    const std::size_t stride_, whole_;
    alignas(64) std::byte last_[kPanels * kTileBytes];
  };

  // What comes from memory is asked for ahead of its turn, a little at every step: of few rows the
  // weights further on,
  struct Stream {
    template <int kPanels>
    TYTO_INLINE void at(const Weights<kPanels>& weights, std::size_t step) {
      TYTO_UNROLL
      for (std::size_t p = 0; p < kPanels; ++p) prefetch<kTileBytes>(weights.tile(step, p));
    }
  };
  // of many rows the next slice of records, and of the panels that come next.
  struct Sweep {
    const std::byte *records, *panels;
    std::size_t record_lines, panel_lines, panel_stride;

    template <int kPanels>
    TYTO_INLINE void at(const Weights<kPanels>&, std::size_t) {
      for (std::size_t i = 0; i < record_lines; ++i, records += 64) prefetch_second_level(records);
      for (std::size_t i = 0; i < panel_lines; ++i, panels += 64) {
        prefetch_second_level(panels);
        prefetch_second_level(panels + panel_stride);
      }
    }
  };

  // As many records in a tile as the tiles have.
  template <int kPanels>
  static void multiply_stream(const std::byte* panels, std::size_t k, const Activations& x,
                              int rows, float* out, std::size_t out_stride) {
    const Weights<kPanels> weights(panels, k);
    const std::size_t steps = (k + kDepth - 1) / kDepth;
    if (rows == 2 * kTileRecords)
      add_tiles<2, kPanels>(weights, x, 0, steps, true, Stream(), out, out_stride);
    else
      add_tiles<1, kPanels>(weights, x, 0, steps, true, Stream(), out, out_stride);
  }

  // One slice of kPanels panels times all rows, whole tiles of them. Meanwhile the panels that come
  // after these are asked for, and of the next slice's records piece `part` of `parts`.
  template <int kPanels>
  static void multiply_slice(const std::byte* panels, std::size_t k, std::size_t slice,
                             const Activations& x, const std::byte* next_panels,
                             const std::byte* next_records, std::size_t part, std::size_t parts,
                             int rows, float* out, std::size_t out_stride) {
    const Weights<kPanels> weights(panels, k);
    const std::size_t first = slice * kSliceSteps,
                      last = std::min(first + kSliceSteps, (k + kDepth - 1) / kDepth);
    constexpr std::size_t kPair = 2 * kTileRecords;
    const std::size_t pairs = (static_cast<std::size_t>(rows) + kPair - 1) / kPair;
    Sweep ahead{next_records + part * kPair * x.stride / parts, next_panels,
                (kPair * x.stride / 64 / kSliceSteps + parts - 1) / parts,
                (kTileBytes / 64 + pairs - 1) / pairs, panel_bytes(k)};
    for (int r = 0; r < rows; r += kPair) {
      const Activations records = x.from(r);
      float* const to = out + static_cast<std::size_t>(r) * out_stride;
      if (r + kTileRecords < rows)
        add_tiles<2, kPanels>(weights, records, first, last, slice == 0, ahead, to, out_stride);
      else
        add_tiles<1, kPanels>(weights, records, first, last, slice == 0, ahead, to, out_stride);
      ahead.records += kPair * x.stride;
      ahead.panels += ahead.panel_lines * kSliceSteps * 64;
    }
  }
  static void multiply_slices(const std::byte* weights, int panels, std::size_t k,
                              const Activations& x, int rows, float* out, std::size_t out_stride) {
    const std::size_t bytes = panel_bytes(k), parts = (static_cast<std::size_t>(panels) + 1) / 2;
    constexpr std::size_t kSliceBytes = kSliceSteps * kTileBytes;
    const std::size_t slices = (k + kSliceK - 1) / kSliceK;
    for (std::size_t slice = 0; slice < slices; ++slice) {
      // After the last slice the next task begins: mostly the same records, and the next panels.
      const bool last = slice + 1 == slices;
      const std::byte* const records = x.first + (last ? 0 : slice + 1) * x.slice_stride;
      for (std::size_t part = 0; part < parts; ++part) {
        const std::byte* const pair = weights + 2 * part * bytes;
        const std::byte* next = pair + 2 * bytes + slice * kSliceBytes;
        if (part + 1 == parts)
          next = last ? weights + static_cast<std::size_t>(panels) * bytes
                      : weights + (slice + 1) * kSliceBytes;
        float* const to = out + 2 * part * kLanes;
        if (2 * part + 1 < static_cast<std::size_t>(panels))
          multiply_slice<2>(pair, k, slice, x, next, records, part, parts, rows, to, out_stride);
        else
          multiply_slice<1>(pair, k, slice, x, next, records, part, parts, rows, to, out_stride);
      }
    }
  }

  static void multiply_tiles(const Tiles<kVector>&, const std::byte* weights, int panels,
                             std::size_t k, const Activations& x, int rows, float* out,
                             std::size_t out_stride) {
    if (rows > kUnslicedRows) {
      multiply_slices(weights, panels, k, x, rows, out, out_stride);
      return;
    }
    const std::size_t bytes = panel_bytes(k);
    int p = 0;
    for (; p + 2 <= panels; p += 2, weights += 2 * bytes, out += 2 * kLanes)
      multiply_stream<2>(weights, k, x, rows, out, out_stride);
    if (p < panels) multiply_stream<1>(weights, k, x, rows, out, out_stride);
  }

  static void multiply(const std::byte* weights, int panels, std::size_t k, const Activations& x,
                       int rows, float* out, std::size_t out_stride, std::byte*) {
    const int whole = rows / kTileRecords * kTileRecords, rest = rows - whole;
    if (whole > 0) multiply_tiles(Tiles<kVector>(), weights, panels, k, x, whole, out, out_stride);
    const Activations last = x.from(whole);
    out += static_cast<std::size_t>(whole) * out_stride;
    if (rest >= kLeastRows) {
      multiply_tiles(Tiles<kVector>(rest), weights, panels, k, last, rest, out, out_stride);
      return;
    }
    const SubnormalsAreZero as_in_tiles;
    const std::size_t bytes = panel_bytes(k);
    int p = 0;
    if (rest == 1)
      for (; p + 4 <= panels; p += 4, weights += 4 * bytes, out += 4 * kLanes)
        multiply_rows<1, 4>(weights, k, last, out, out_stride);
    for (; p < panels; ++p, weights += bytes, out += kLanes)
      if (rest == 2)
        multiply_rows<2, 1>(weights, k, last, out, out_stride);
      else if (rest == 1)
        multiply_rows<1, 1>(weights, k, last, out, out_stride);
  }
};

template <int kVariant>
requires(kHasTiles<kVariant>) struct Linear<FloatRows<quant::BF16>, kVariant> : Bf16Tiles {
};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
