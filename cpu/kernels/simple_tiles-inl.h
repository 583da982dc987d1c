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
  static constexpr int kDepth = 32, kPanels = 4, kRecords = kTileRecords;
  // With fewer, vectors alone are faster; the more so where bytes are codes as they lie.
  static constexpr int kLeastRows = Family::kBits == 8 ? 96 : 32;
  static constexpr int kBlocks = kTileWidth / 32;
  static constexpr bool kMinimum = Family::kMinimum;
  // An expanded block: d [lane], m [lane], codes as signed bytes [8][lane].
  static constexpr std::size_t kCodes = 2 * kVector, kBlock = kCodes + 8 * kVector;
  static constexpr std::size_t kPanelBytes = kBlocks * kBlock;

  static std::size_t width(std::size_t k) { return Family::blocks(k) * 32; }

  static void expand(const std::byte* panel, std::size_t first, std::size_t width, std::byte* to) {
    for (std::size_t b = first / 32; b < (first + width) / 32; ++b, to += kBlock) {
      prefetch<Family::kGroupBytes / Family::kGroupBlocks>(Family::codes(panel, b));
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

  // Block i goes through sum tile and memory i % 4. One other block is started between its product
  // and its store, and two are between that and its end, so that neither waits for the tiles.
  struct Flight {
    alignas(64) SumTile sums[4];
  };
  template <int i>
  TYTO_INLINE static void start(const std::byte* block, const std::byte* codes,
                                std::size_t stride) {
    load_tile<4 + i % 2>(codes, stride);
    load_tile<6 + i % 2>(block + kCodes, kVector);
    zero_tile<i % 4>();
    multiply_signed<i % 4, 4 + i % 2, 6 + i % 2>();
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
  template <int i = 0>
  TYTO_INLINE static void blocks(const std::byte* panel, const std::byte* next_panel,
                                 const Factors& a, const TileCodes& next, Flight& flight,
                                 Floats (&acc)[kTileRecords]) {
    if constexpr (i < kBlocks) {
      if constexpr (i + 3 < kBlocks)
        start<i + 3>(panel + (i + 3) * kBlock, a.codes.codes + (i + 3) * 32, a.codes.stride);
      else
        start<i + 3>(next_panel + (i + 3 - kBlocks) * kBlock, next.codes + (i + 3 - kBlocks) * 32,
                     next.stride);
      store_tile<(i + 2) % 4>(flight.sums[(i + 2) % 4]);
      finish(panel + i * kBlock, flight.sums[i % 4], a, i, acc);
      blocks<i + 1>(panel, next_panel, a, next, flight, acc);
    }
  }

  // multiply() finds the first three blocks under way, and leaves so those of `next`.
  static void begin(const std::byte* panel, const TileCodes& a, Flight& flight) {
    start<0>(panel, a.codes, a.stride);
    start<1>(panel + kBlock, a.codes + 32, a.stride);
    start<2>(panel + 2 * kBlock, a.codes + 64, a.stride);
    store_tile<0>(flight.sums[0]);
    store_tile<1>(flight.sums[1]);
  }
  // Adds the product of `panels` expanded panels to out.
  static void multiply(const std::byte* expanded, int panels, const Factors& a,
                       const TileCodes& next, Flight& flight, float* out, std::size_t out_stride) {
    const std::byte* panel = expanded;
    for (int p = 0; p < panels; ++p, panel += kPanelBytes, out += kLanes) {
      Floats acc[kTileRecords];
      load_results(acc, a.count, out, out_stride);
      const bool last = p + 1 == panels;
      blocks(panel, last ? expanded : panel + kPanelBytes, a, last ? next : a.codes, flight, acc);
      store_results(acc, a.count, out, out_stride);
    }
  }
  // The same without flight, for less than kTileWidth k.
  static void multiply_rest(const std::byte* panel, int panels, std::size_t width, const Factors& a,
                            float* out, std::size_t out_stride) {
    alignas(64) SumTile sums;
    for (int p = 0; p < panels; ++p, panel += kPanelBytes, out += kLanes) {
      Floats acc[kTileRecords];
      load_results(acc, a.count, out, out_stride);
      for (int b = 0; b < static_cast<int>(width / 32); ++b) {
        const std::byte* block = panel + static_cast<std::size_t>(b) * kBlock;
        start<0>(block, a.codes.codes + b * 32, a.codes.stride);
        store_tile<0>(sums);
        finish(block, sums, a, b, acc);
      }
      store_results(acc, a.count, out, out_stride);
    }
  }

  static void multiply_block(const std::byte* expanded, int panels, const Records& a, int rows,
                             std::size_t first, std::size_t width, float* out,
                             std::size_t out_stride, std::byte* padded) {
    Flight flight;
    TileCodes next(a, rows, 0, kRecords, first, width, padded);
    if (width == kTileWidth) begin(expanded, next, flight);
    for (int r = 0; r < rows; r += kRecords, out += kRecords * out_stride) {
      const TileCodes codes = next;
      next = TileCodes(a, rows, r + kRecords, kRecords, first, width, padded);
      const Factors factors(a, codes, r, rows - r < kRecords ? rows - r : kRecords, first, width);
      if (width == kTileWidth)
        multiply(expanded, panels, factors, next, flight, out, out_stride);
      else
        multiply_rest(expanded, panels, width, factors, out, out_stride);
    }
  }
};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
