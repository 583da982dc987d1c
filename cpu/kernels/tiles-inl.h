// Products of many rows by AMX-INT8 tiles (Intel 64 manual, volume 1, chapter 18). A tile holds 16
// rows of 64 bytes; one instruction adds the products of a tile of activations, [16 records][64 k],
// and one of weights, [16 words of 4 k][16 lanes], to a tile of sums, [16 records][16 lanes]. An
// expanded panel is such tiles one after the other, and records are read where they lie. Integer
// sums are exact, and the floats that follow are those of simple_blocks-inl.h and
// super_blocks-inl.h in the same order: the same bits as without tiles.
#pragma once
#include "cpu/kernels/simple_blocks-inl.h"
#include "cpu/kernels/super_blocks-inl.h"

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

// Computes `a` here and now. Else GCC, free to move arithmetic but not loads past the statements
// above, puts off whole blocks of it and keeps what was loaded on the stack.
TYTO_INLINE void settle(Floats& a) { asm volatile("" : "+v"(a.v)); }

constexpr int kTileRecords = 16;

// The shapes of the 8 tiles: 0 to 3 sums, 4 and 5 activations of so many records, 6 and 7 weights;
// kDepth bytes of k. Tiles exist between construction and destruction.
template <int kDepth>
class Tiles {
 public:
  explicit Tiles(int records = kTileRecords) {
    for (int t = 0; t < 8; ++t) {
      config_.row_bytes[t] = t == 4 || t == 5 ? kDepth : 64;
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

constexpr std::size_t kTileWidth = 256;  // k between a load and a store of the result

// 16 records from record `row` on and k = first on, for load_tile: where they lie, or copied next
// to zeros where some are missing; no matter which where all are.
struct TileCodes {
  const std::byte* codes;
  std::size_t stride;
  TileCodes(const Records& a, int rows, int row, std::size_t first, std::size_t width,
            std::byte* padded)
      : codes(a.row(row) + first), stride(a.stride) {
    const int count = rows - row;
    if (count >= kTileRecords) return;
    codes = padded;
    stride = kTileWidth;
    if (count <= 0) return;
    std::memset(padded, 0, kTileRecords * kTileWidth);
    for (int r = 0; r < count; ++r)
      std::memcpy(padded + static_cast<std::size_t>(r) * kTileWidth, a.row(row + r) + first, width);
  }
};

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

template <class Family>
struct TileProduct;

// Per 32 k: one instruction, 16 rows of sums to memory, and a float ending for each.
template <class Block>
struct TileProduct<SimpleBlocks<Block>> {
  using Family = SimpleBlocks<Block>;
  static constexpr int kDepth = 32, kPanels = 4;
  static constexpr int kBlocks = kTileWidth / 32;
  static constexpr bool kMinimum = Family::kMinimum;
  // An expanded block: d [lane], m [lane], codes as signed bytes [8][lane].
  static constexpr std::size_t kCodes = 2 * kVector, kBlock = kCodes + 8 * kVector;
  static constexpr std::size_t kPanelBytes = kBlocks * kBlock;

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
      const std::size_t bytes = width / 32 * sizeof(float);
      if (count < kTileRecords || width < kTileWidth) {
        std::memset(scale, 0, sizeof(scale));
        std::memset(sum, 0, sizeof(sum));
      }
      for (int r = 0; r < count; ++r) {
        std::memcpy(scale[r], a.row(record + r) + a.scales + first / 32 * sizeof(float), bytes);
        if constexpr (kMinimum) {
          std::int16_t sums[2 * kBlocks] = {};
          std::memcpy(sums, a.row(record + r) + a.sums + first / 32 * sizeof(float), bytes);
          for (int b = 0; b < kBlocks; ++b)
            sum[r][b] = scale[r][b] * static_cast<float>(sums[2 * b] + sums[2 * b + 1]);
        }
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
};

// Per 256 k: weights are code * sub-scale, of 16 bits, in two tiles of bytes: low ones unsigned,
// high ones signed. So the sums of all sub-blocks come out of the tiles at once.
template <class Block>
struct TileProduct<SuperBlocks<Block>> {
  using Family = SuperBlocks<Block>;
  static constexpr int kDepth = 64, kPanels = 2;
  static constexpr bool kMinimum = Family::kMinimum;
  // An expanded group: d, dmin [lane]; pairs of minimums [4][lane]; low
  // bytes [4 tiles][16][lane], high bytes likewise.
  static constexpr std::size_t kMinimums = 2 * kVector, kLow = kMinimums + 4 * kVector;
  static constexpr std::size_t kTile = 16 * kVector, kHigh = kLow + 4 * kTile;
  static constexpr std::size_t kPanelBytes = kHigh + 4 * kTile;

  static std::size_t width(std::size_t k) { return k; }

  static void expand(const std::byte* panel, std::size_t first, std::size_t, std::byte* to) {
    const std::byte* group = panel + first / 256 * Family::kGroupBytes;
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

  struct Factors {
    TileCodes codes;
    int count;
    float scale[kTileRecords] = {};
    std::int16_t sums[kTileRecords][8] = {};  // sums32

    Factors(const Records& a, const TileCodes& tile, int record, int records, std::size_t first,
            std::size_t)
        : codes(tile), count(records) {
      for (int r = 0; r < count; ++r) {
        scale[r] = a.scale(record + r, first / 256);
        if constexpr (kMinimum)
          std::memcpy(sums[r], a.row(record + r) + a.sums32 + first / 32 * sizeof(std::int16_t),
                      sizeof(sums[r]));
      }
    }
  };

  // A panel's sums are in tiles 0 and 1 or in 2 and 3; while one pair is finished the other is
  // filled.
  struct Flight {
    alignas(64) SumTile low, high;
    bool second = false;
  };
  template <int kSums, int t = 0>
  TYTO_INLINE static void start(const std::byte* panel, const TileCodes& a) {
    if constexpr (t == 0) {
      zero_tile<kSums>();
      zero_tile<kSums + 1>();
    }
    if constexpr (t < 4) {
      load_tile<4 + t % 2>(a.codes + t * 64, a.stride);
      load_tile<6>(panel + kLow + t * kTile, kVector);
      multiply_unsigned<kSums, 4 + t % 2, 6>();
      load_tile<7>(panel + kHigh + t * kTile, kVector);
      multiply_signed<kSums + 1, 4 + t % 2, 7>();
      start<kSums, t + 1>(panel, a);
    }
  }
  template <int kSums>
  TYTO_INLINE static void start_next(const std::byte* panel, const TileCodes& a, Flight& flight) {
    start<2 - kSums>(panel, a);
    store_tile<kSums>(flight.low);
    store_tile<kSums + 1>(flight.high);
  }

  static void begin(const std::byte* panel, const TileCodes& a, Flight& flight) {
    flight.second = false;
    start<0>(panel, a);
  }
  static void multiply(const std::byte* expanded, int panels, const Factors& a,
                       const TileCodes& next, Flight& flight, float* out, std::size_t out_stride) {
    const std::byte* panel = expanded;
    for (int p = 0; p < panels; ++p, panel += kPanelBytes, out += kLanes) {
      const bool last = p + 1 == panels;
      const std::byte* next_panel = last ? expanded : panel + kPanelBytes;
      if (flight.second)
        start_next<2>(next_panel, last ? next : a.codes, flight);
      else
        start_next<0>(next_panel, last ? next : a.codes, flight);
      flight.second = !flight.second;
      finish(panel, flight, a, out, out_stride);
    }
  }
  static void finish(const std::byte* panel, const Flight& flight, const Factors& a, float* out,
                     std::size_t out_stride) {
    const Floats d = load_floats(panel), dmin = load_floats(panel + kVector);
    Floats acc[kTileRecords];
    load_results(acc, a.count, out, out_stride);
    TYTO_UNROLL
    for (int r = 0; r < kTileRecords; ++r) {
      const Ints total = load_ints(flight.low[r]) + shift_left<8>(load_ints(flight.high[r]));
      const Floats scale = broadcast(a.scale[r]);
      acc[r] = fma(to_floats(total), d * scale, acc[r]);
      if constexpr (kMinimum) {
        Ints sum = broadcast(0);
        TYTO_UNROLL
        for (int i = 0; i < 4; ++i)
          sum = add_pairs(sum, load_ints(panel + kMinimums + static_cast<std::size_t>(i) * kVector),
                          broadcast_ints(&a.sums[r][2 * i]));
        acc[r] = fnma(to_floats(sum), dmin * scale, acc[r]);
      }
    }
    store_results(acc, a.count, out, out_stride);
  }
  static void multiply_rest(const std::byte*, int, std::size_t, const Factors&, float*,
                            std::size_t) {}  // k: whole groups
};

template <class Family>
struct TileLinear {
  using Product = TileProduct<Family>;

  static void multiply(const std::byte* weights, int panels, std::size_t k,
                       const std::byte* activations, std::size_t record_stride, int rows,
                       float* out, std::size_t out_stride, std::byte* scratch) {
    if (rows < kTileRecords) {
      QuantizedLinear<Family>::multiply(weights, panels, k, activations, record_stride, rows, out,
                                        out_stride, scratch);
      return;
    }
    const Records a(activations, record_stride, activation_layout(Family::kForm, k));
    for (int r = 0; r < rows; ++r)
      std::memset(out + static_cast<std::size_t>(r) * out_stride, 0,
                  static_cast<std::size_t>(panels * kLanes) * sizeof(float));
    const Tiles<Product::kDepth> tiles;
    for (int p = 0; p < panels; p += Product::kPanels)
      multiply_panels(weights + static_cast<std::size_t>(p) * Family::panel_bytes(k),
                      panels - p < Product::kPanels ? panels - p : Product::kPanels, k, a, rows,
                      out + p * kLanes, out_stride, scratch);
  }

  // Expanded weights of kTileWidth k stay in the first-level cache while all records pass by.
  static void multiply_panels(const std::byte* weights, int panels, std::size_t k, const Records& a,
                              int rows, float* out, std::size_t out_stride, std::byte* scratch) {
    const std::size_t all = Product::width(k);
    typename Product::Flight flight;
    for (std::size_t first = 0; first < all; first += kTileWidth) {
      const std::size_t width = all - first < kTileWidth ? all - first : kTileWidth;
      for (int p = 0; p < panels; ++p)
        Product::expand(weights + static_cast<std::size_t>(p) * Family::panel_bytes(k), first,
                        width, scratch + static_cast<std::size_t>(p) * Product::kPanelBytes);
      TileCodes next(a, rows, 0, first, width, scratch + kPadded);
      if (width == kTileWidth) Product::begin(scratch, next, flight);
      for (int r = 0; r < rows; r += kTileRecords) {
        const TileCodes codes = next;
        next = TileCodes(a, rows, r + kTileRecords, first, width, scratch + kPadded);
        const typename Product::Factors factors(
            a, codes, r, rows - r < kTileRecords ? rows - r : kTileRecords, first, width);
        float* to = out + static_cast<std::size_t>(r) * out_stride;
        if (width == kTileWidth)
          Product::multiply(scratch, panels, factors, next, flight, to, out_stride);
        else
          Product::multiply_rest(scratch, panels, width, factors, to, out_stride);
      }
    }
  }

  static constexpr std::size_t kPadded =
      Product::kPanels * Product::kPanelBytes;  // where missing records are
  static std::size_t scratch_bytes(std::size_t k) {
    const std::size_t tiles = kPadded + kTileRecords * kTileWidth;
    return tiles > Family::scratch_bytes(k) ? tiles : Family::scratch_bytes(k);
  }
};

template <class Block, int kVariant>
requires(kHasTiles<kVariant>) struct Linear<SimpleBlocks<Block>, kVariant> : SimpleBlocks<Block> {
  static constexpr auto multiply = TileLinear<SimpleBlocks<Block>>::multiply;
  static constexpr auto scratch_bytes = TileLinear<SimpleBlocks<Block>>::scratch_bytes;
};
template <class Block, int kVariant>
requires(kHasTiles<kVariant>) struct Linear<SuperBlocks<Block>, kVariant> : SuperBlocks<Block> {
  static constexpr auto multiply = TileLinear<SuperBlocks<Block>>::multiply;
  static constexpr auto scratch_bytes = TileLinear<SuperBlocks<Block>>::scratch_bytes;
};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
