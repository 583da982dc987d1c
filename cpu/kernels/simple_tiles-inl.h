// Products of many rows by AMX-INT8 for formats of simple blocks. Integer sums are exact, and the
// floats that follow are those of simple_blocks-inl.h in the same order: the same bits as without
// tiles.
#pragma once
#include "cpu/kernels/simple_blocks-inl.h"
// then:
#include "cpu/kernels/tiles-inl.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

// Computes `a` here and now. Else GCC, free to move arithmetic but not loads past the statements
// above, puts off whole blocks of it and keeps what was loaded on the stack.
TYTO_INLINE void settle(Floats& a) { asm volatile("" : "+v"(a.v)); }

TYTO_INLINE void load_results(Floats (&acc)[kTileRecords], int count, const float* out,
                              std::size_t out_stride) {
  TYTO_UNROLL
  for (int r = 0; r < kTileRecords; ++r)
    acc[r] =
        r < count ? load_floats(out + static_cast<std::size_t>(r) * out_stride) : broadcast(0.0f);
}
TYTO_INLINE void store_results(const Floats (&acc)[kTileRecords], int count, float* out,
                               std::size_t out_stride) {
  TYTO_UNROLL
  for (int r = 0; r < kTileRecords; ++r)
    if (r < count) store(acc[r], out + static_cast<std::size_t>(r) * out_stride);
}

// Per 32 k: one instruction, 16 rows of sums to memory, and a float ending for each.
template <class Block>
struct SimpleTiles {
  using Family = SimpleBlocks<Block>;
  using Shapes = Tiles<32, 2>;
  static constexpr int kPanels = 4, kRecords = kTileRecords;
  static constexpr int kHeld = 4;  // blocks of activations that stay in tiles
  static constexpr int kBlocks = kTileWidth / 32;
  static constexpr bool kMinimum = Family::kMinimum;
  // An expanded block: d [lane], m [lane] if there is one, codes as signed bytes [8][lane].
  static constexpr std::size_t kCodes = (kMinimum ? 2 : 1) * kVector, kBlock = kCodes + 8 * kVector;
  static constexpr std::size_t kPanelBytes = kBlocks * kBlock;
  static constexpr std::size_t kPackedBytes =  // kTileWidth k of a panel
      kBlocks / Family::kGroupBlocks * Family::kGroupBytes;
  using Ahead = WeightsAhead<kPackedBytes>;

  static std::size_t width(std::size_t k) { return Family::blocks(k) * 32; }

  static void expand(const std::byte* panel, std::size_t first, std::size_t width, std::byte* to) {
    for (std::size_t b = first / 32; b < (first + width) / 32; ++b, to += kBlock) {
      store(load_halves(Family::scales(panel, b)), reinterpret_cast<float*>(to));
      if constexpr (kMinimum)
        store(load_halves(Family::scales(panel, b) + Family::kHalves),
              reinterpret_cast<float*>(to + kVector));
      expand_signed(Family::codes(panel, b), to + kCodes);
    }
  }
  template <int v = 0>
  TYTO_INLINE static void expand_signed(const std::byte* codes, std::byte* to) {
    if constexpr (v < 8) {
      store(subtract_bytes(Codes<Family::kBits>::template get<v>(codes), Family::kOffset),
            to + v * kVector);
      expand_signed<v + 1>(codes, to);
    }
  }

  // Up to 16 records of up to kTileWidth k: codes, scales, and scales times sums of activations.
  struct Factors {
    TileCodes codes;
    int count;
    float scale[kTileRecords][kBlocks], sum[kTileRecords][kBlocks];

    Factors(const Records& a, const TileCodes& tile, int record, int records, std::size_t first,
            std::size_t width)
        : codes(tile), count(records) {
      if (count < kTileRecords || width < kTileWidth) {
        std::memset(scale, 0, sizeof(scale));
        std::memset(sum, 0, sizeof(sum));
      }
      const std::size_t at = first / 32 * sizeof(float);
      for (int r = 0; r < count; ++r)
        if (width == kTileWidth)  // of constant size, which is faster
          load(r, a.row(record + r), a, at, sizeof(scale[r]));
        else
          load(r, a.row(record + r), a, at, width / 32 * sizeof(float));
    }
    TYTO_INLINE void load(int r, const std::byte* record, const Records& a, std::size_t at,
                          std::size_t bytes) {
      std::memcpy(scale[r], record + a.scales + at, bytes);
      if constexpr (kMinimum) {
        std::int16_t sums[2 * kBlocks] = {};
        std::memcpy(sums, record + a.sums + at, bytes);
        for (int b = 0; b < kBlocks; ++b)
          sum[r][b] = scale[r][b] * static_cast<float>(sums[2 * b] + sums[2 * b + 1]);
      }
    }
  };

  // The activations of four blocks stay in tiles for all panels. A block is started before its
  // predecessor is finished; block i uses sum tile and memory i % 2.
  TYTO_INLINE static void hold_records(const std::byte* codes, std::size_t stride) {
    load_tile<2>(codes, stride), load_tile<3>(codes + 32, stride);
    load_tile<4>(codes + 64, stride), load_tile<5>(codes + 96, stride);
  }
  template <int i>
  TYTO_INLINE static void start(const std::byte* block) {
    load_tile<6 + i % 2>(block + kCodes, kVector);
    zero_tile<i % 2>();
    multiply_signed<i % 2, 2 + i, 6 + i % 2>();
  }
  TYTO_INLINE static void finish(const std::byte* block, const SumTile& sums, const Factors& a,
                                 int b, Floats (&acc)[kTileRecords]) {
    const Floats d = load_floats(block);
    TYTO_UNROLL
    for (int r = 0; r < kTileRecords; ++r) {
      acc[r] = fma(to_floats(load_ints(sums[r])), d * broadcast(a.scale[r][b]), acc[r]);
      if constexpr (kMinimum)
        acc[r] = fma(load_floats(block + kVector), broadcast(a.sum[r][b]), acc[r]);
      settle(acc[r]);
    }
  }

  // Finishes blocks i to 3 of the four of a panel, whose first is under way, and starts the first
  // of next_panel; with next_records, which then replace those in tiles.
  template <int i = 0>
  TYTO_INLINE static void blocks(const std::byte* panel, const Factors& a, int first,
                                 const std::byte* next_panel, const TileCodes* next_records,
                                 SumTile (&sums)[2], Floats (&acc)[kTileRecords]) {
    if constexpr (i < kHeld) {
      if constexpr (i + 1 < kHeld) {
        start<i + 1>(panel + (i + 1) * kBlock);
      } else {
        if (next_records) hold_records(next_records->codes, next_records->stride);
        start<0>(next_panel);
      }
      store_tile<i % 2>(sums[i % 2]);
      finish(panel + i * kBlock, sums[i % 2], a, first + i, acc);
      blocks<i + 1>(panel, a, first, next_panel, next_records, sums, acc);
    }
  }

  // Adds the product of `panels` expanded panels to out. Finds the first half of the records in
  // tiles and the first block under way, and leaves so those of `next`.
  static void multiply(const std::byte* expanded, int panels, const Factors& a,
                       const TileCodes& next, Ahead& ahead, float* out, std::size_t out_stride) {
    static_assert(kBlocks == 2 * kHeld);
    constexpr std::size_t kHalf = kHeld * kBlock;
    alignas(64) SumTile sums[2];
    TileCodes second = a.codes;
    second.codes += kHeld * 32;
    for (int half = 0; half < 2; ++half) {
      const std::byte* panel = half == 0 ? expanded : expanded + kHalf;
      // After the last panel: the other half, or the first one of the next records.
      const std::byte* const then = half == 0 ? expanded + kHalf : expanded;
      const TileCodes& then_records = half == 0 ? second : next;
      for (int p = 0; p < panels; ++p, panel += kPanelBytes) {
        ahead.ask();
        const bool last = p + 1 == panels;
        Floats acc[kTileRecords];
        load_results(acc, a.count, out + p * kLanes, out_stride);
        blocks(panel, a, half * kHeld, last ? then : panel + kPanelBytes,
               last ? &then_records : nullptr, sums, acc);
        store_results(acc, a.count, out + p * kLanes, out_stride);
      }
    }
  }
  // The same block after block, for less than kTileWidth k.
  static void multiply_rest(const std::byte* panel, int panels, std::size_t width, const Factors& a,
                            Ahead& ahead, float* out, std::size_t out_stride) {
    alignas(64) SumTile sums;
    for (int p = 0; p < panels; ++p, panel += kPanelBytes, out += kLanes) {
      ahead.ask();
      Floats acc[kTileRecords];
      load_results(acc, a.count, out, out_stride);
      for (int b = 0; b < static_cast<int>(width / 32); ++b) {
        const std::byte* block = panel + static_cast<std::size_t>(b) * kBlock;
        load_tile<2>(a.codes.codes + b * 32, a.codes.stride);
        start<0>(block);
        store_tile<0>(sums);
        finish(block, sums, a, b, acc);
      }
      store_results(acc, a.count, out, out_stride);
    }
  }

  static void multiply_block(const PackedPanels& weights, int panels, const Records& a, int rows,
                             std::size_t first, std::size_t width, float* out,
                             std::size_t out_stride, std::byte* expanded, std::byte* padded,
                             const PackedPanels& after) {
    for (int p = 0; p < panels; ++p)
      expand(weights.at(p), first, width, expanded + static_cast<std::size_t>(p) * kPanelBytes);
    const bool whole = width == kTileWidth;
    Ahead ahead(after, panels, (rows + kRecords - 1) / kRecords * panels * (whole ? 2 : 1));
    TileCodes next(a, rows, 0, kRecords, first, width, padded);
    if (whole) {
      hold_records(next.codes, next.stride);
      start<0>(expanded);
    }
    for (int r = 0; r < rows; r += kRecords, out += kRecords * out_stride) {
      const TileCodes codes = next;
      next = TileCodes(a, rows, r + kRecords, kRecords, first, width, padded);
      const Factors factors(a, codes, r, rows - r < kRecords ? rows - r : kRecords, first, width);
      if (whole)
        multiply(expanded, panels, factors, next, ahead, out, out_stride);
      else
        multiply_rest(expanded, panels, width, factors, ahead, out, out_stride);
    }
  }
};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
