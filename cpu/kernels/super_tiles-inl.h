// Products of many rows by AMX-INT8 for formats of super-blocks; the same bits as without tiles.
#pragma once
#include "cpu/kernels/super_blocks-inl.h"
// then:
#include "cpu/kernels/tiles-inl.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

// Per 256 k: weights are code * sub-scale, of 16 bits, in two tiles of bytes: low ones unsigned,
// high ones signed. So the sums of all sub-blocks come out of the tiles at once.
template <class Block>
struct SuperTiles {
  using Family = SuperBlocks<Block>;
  using Shapes = Tiles<64>;
  static constexpr int kPanels = 4, kRecords = 2 * kTileRecords;
  static constexpr bool kMinimum = Family::kMinimum;
  // An expanded group: d, dmin [lane]; pairs of minimums [4][lane]; low bytes [4 tiles][16][lane],
  // high bytes likewise.
  static constexpr std::size_t kMinimums = 2 * kVector, kLow = kMinimums + 4 * kVector;
  static constexpr std::size_t kTile = 16 * kVector, kHigh = kLow + 4 * kTile;
  static constexpr std::size_t kPanelBytes = kHigh + 4 * kTile;
  static constexpr std::size_t kPackedBytes = Family::kGroupBytes;  // kTileWidth k of a panel

  static std::size_t width(std::size_t k) { return k; }

  static void expand(const std::byte* panel, std::size_t first, std::byte* to) {
    const std::byte* group = panel + first / kTileWidth * kPackedBytes;
    store(load_halves(group), reinterpret_cast<float*>(to));
    store(load_halves(group + Family::kHalves), reinterpret_cast<float*>(to + kVector));
    alignas(64) std::byte scales[Family::kSubBlocks * kVector];
    Family::spread(group, scales, to + kMinimums, kVector);
    for (std::size_t u = 0; u < 8; ++u)
      expand_unit(group + Family::kHeader + u * Codes<Family::kBits>::kBytes,
                  scales + u * Family::kPerUnit * kVector, to + kLow + u * 8 * kVector,
                  to + kHigh + u * 8 * kVector);
  }
  template <int v = 0>
  TYTO_INLINE static void expand_unit(const std::byte* codes, const std::byte* scales,
                                      std::byte* low, std::byte* high) {
    if constexpr (v < 8) {
      const Ints scale = load_ints(scales + v / Family::kVectors * kVector);
      const ScaledBytes scaled =
          scale_bytes(Codes<Family::kBits>::template get<v>(codes), Family::kOffset, scale);
      store(scaled.low, low + v * kVector);
      store(scaled.high, high + v * kVector);
      expand_unit<v + 1>(codes, scales, low, high);
    }
  }

  // Up to kRecords records: codes, scales, and sums32 of activations.
  struct Factors {
    TileCodes codes;
    int count = 0;
    float scale[kRecords];
    std::int16_t sums[kRecords][8];

    void load(const Records& a, int rows, int record, std::size_t first, std::byte* padded) {
      count = rows - record < kRecords ? rows - record : kRecords;
      codes = TileCodes(a, rows, record, tiles() * kTileRecords, first, kTileWidth, padded);
      for (int r = 0; r < count; ++r) {
        scale[r] = a.scale(record + r, first / 256);
        if constexpr (kMinimum)
          std::memcpy(sums[r], a.row(record + r) + a.sums32 + first / 32 * sizeof(sums[0][0]),
                      sizeof(sums[r]));
      }
    }
    int tiles() const { return count > kTileRecords ? 2 : 1; }
  };

  // A product whose sums are in memory: the low and the high ones of 16 records, and of 16 more.
  struct Unfinished {
    const std::byte* panel = nullptr;
    const Factors* a = nullptr;
    float* out = nullptr;
    const SumTile* sums = nullptr;
  };

  // Adds rows [first, first + kCount) of a product to the result.
  template <int kCount>
  TYTO_INLINE static void finish(const Unfinished& product, int first, std::size_t out_stride) {
    const Floats d = load_floats(product.panel), dmin = load_floats(product.panel + kVector);
    // In registers, since loads are what binds here.
    Ints minimums[4];
    if constexpr (kMinimum) {
      TYTO_UNROLL
      for (std::size_t i = 0; i < 4; ++i)
        minimums[i] = load_ints(product.panel + kMinimums + i * kVector);
    }
    const int last = product.a->count < first + kCount ? product.a->count : first + kCount;
    for (int r = first; r < last; ++r) {
      const SumTile* const sums = product.sums + r / kTileRecords * 2;
      const int row = r % kTileRecords;
      const Ints total = load_ints(sums[0][row]) + shift_left<8>(load_ints(sums[1][row]));
      const Floats scale = broadcast(product.a->scale[r]);
      float* const out = product.out + static_cast<std::size_t>(r) * out_stride;
      Floats acc = fma(to_floats(total), d * scale, load_floats(out));
      if constexpr (kMinimum) {
        Ints sum = broadcast(0);
        TYTO_UNROLL
        for (std::size_t i = 0; i < 4; ++i)
          sum = add_pairs(sum, minimums[i], broadcast_ints(&product.a->sums[r][2 * i]));
        acc = fnma(to_floats(sum), dmin * scale, acc);
      }
      store(acc, out);
    }
  }

  // Low and high bytes times one or two tiles of records: chains of products that do not wait for
  // each other. After each of four steps a quarter of the product before is finished.
  template <int kTiles, int t = 0>
  TYTO_INLINE static void multiply(const std::byte* panel, const TileCodes& a,
                                   const Unfinished& before, std::size_t out_stride) {
    if constexpr (t < 4) {
      load_tile<6>(panel + kLow + t * kTile, kVector);
      load_tile<4>(a.codes + t * 64, a.stride);
      multiply_unsigned<0, 4, 6>();
      if constexpr (kTiles > 1) {
        load_tile<5>(a.codes + kTileRecords * a.stride + t * 64, a.stride);
        multiply_unsigned<2, 5, 6>();
      }
      load_tile<7>(panel + kHigh + t * kTile, kVector);
      multiply_signed<1, 4, 7>();
      if constexpr (kTiles > 1) multiply_signed<3, 5, 7>();
      if (before.a) finish<kRecords / 4>(before, t * kRecords / 4, out_stride);
      multiply<kTiles, t + 1>(panel, a, before, out_stride);
    }
  }

  // Adds the product of `panels` panels with all records to out. A panel is expanded right before
  // its first product; of up to kRecords records, where it is used once, into one of two places in
  // turn, which stay in the first-level cache.
  static void multiply_block(const PackedPanels& weights, int panels, const Records& a, int rows,
                             std::size_t first, std::size_t, float* out, std::size_t out_stride,
                             std::byte* expanded, std::byte* padded, const PackedPanels& after) {
    alignas(64) SumTile sums[2][4];
    WeightsAhead<kPackedBytes> ahead(after, panels, (rows + kRecords - 1) / kRecords * panels);
    Factors factors[2];
    Unfinished before;
    int turn = 0;
    for (int r = 0; r < rows; r += kRecords, out += kRecords * out_stride) {
      Factors& records = factors[r / kRecords % 2];
      records.load(a, rows, r, first, padded);
      for (int p = 0; p < panels; ++p, turn = 1 - turn) {
        const int place = rows <= kRecords ? turn : p;
        std::byte* const panel = expanded + static_cast<std::size_t>(place) * kPanelBytes;
        if (r == 0) expand(weights.at(p), first, panel);
        SumTile* const to = sums[turn];
        ahead.ask();
        zero_tile<0>(), zero_tile<1>();
        if (records.tiles() == 1) {
          multiply<1>(panel, records.codes, before, out_stride);
        } else {
          zero_tile<2>(), zero_tile<3>();
          multiply<2>(panel, records.codes, before, out_stride);
          store_tile<2>(to[2]), store_tile<3>(to[3]);
        }
        store_tile<0>(to[0]), store_tile<1>(to[1]);
        before = {panel, &records, out + p * kLanes, to};
      }
    }
    finish<kRecords>(before, 0, out_stride);
  }
};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
