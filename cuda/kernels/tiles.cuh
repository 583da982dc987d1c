// Computes  records times matrices on tensor cores
// Shapes    records [rows][width], matrix [outputs][width] -> [rows][outputs]
// Launch    4 warps; each computes 32 outputs of up to 64 records. For up to 64 records all four
//           have the same outputs and divide k, for more two or each have their own. Weights and
//           records of 256 or 64 k lie in shared memory, while the next ones are on their way
// Order     k ascending; where warps divide k, each its own units, then the warps' sums in order
// Measured  on no device yet
#pragma once
#include "cuda/kernels/products.cuh"
#include "cuda/kernels/units.cuh"

namespace tyto::cuda {

constexpr int kTileWarps = 4, kTileThreads = kTileWarps * kWarp, kWarpOutputs = 32;
constexpr int kTileBlocks = 2;  // with registers for more of them, the compiler spills some

template <int kOutputWarps_, int kRecordTiles_>
struct TileShape {
  static constexpr int kOutputWarps = kOutputWarps_, kUnitWarps = kTileWarps / kOutputWarps;
  static constexpr int kRecordTiles = kRecordTiles_;  // of 8
  static constexpr int kOutputs = kWarpOutputs * kOutputWarps, kRecords = 8 * kRecordTiles;

  using Sums = float[2][kRecordTiles][4];  // of a thread: products of 16 outputs and 8 records
  static constexpr int kSums = 2 * kRecordTiles * 4;
};

// Rows of bytes in shared memory. Between them lie 16 bytes, so that the words that the lanes of a
// product take from 8 of them lie in different banks.
template <int kBytes>
struct Strip {
  static constexpr int kStride = kBytes > 0 && kBytes % 16 == 0 ? kBytes + 16 : kBytes;

  // By the whole block. Behind `rows` the last one is copied again.
  template <int kRows>
  __device__ static void fill(std::byte* to, const std::byte* from, std::size_t stride, int rows) {
    if constexpr (kBytes % 16 == 0) {
      constexpr int kPieces = kBytes / 16;
      for (int i = static_cast<int>(threadIdx.x); i < kRows * kPieces; i += kTileThreads) {
        const int row = i / kPieces, at = i % kPieces * 16;
        copy_async(to + row * kStride + at, from + min(row, rows - 1) * stride + at);
      }
    } else {
      static_assert(kBytes == 2);
      for (int row = static_cast<int>(threadIdx.x); row < kRows; row += kTileThreads)
        *reinterpret_cast<std::uint16_t*>(to + row * kStride) =
            load<std::uint16_t>(from + min(row, rows - 1) * stride);
    }
  }
};

// What a block has in shared memory at a time: a group of kGroupValues k.
struct TileSource {
  const MatrixView& matrix;
  const Records& x;
  int first_row, outputs, first_record, records;  // first_row: of the view's

  // A plane of the matrix whose rows have `bytes` a group.
  __device__ const std::byte* weights(int plane, int bytes, int groups, int group) const {
    return matrix.planes[plane] +
           static_cast<std::size_t>(matrix.first_row + first_row) * weight_stride(bytes, groups) +
           group * bytes;
  }
  __device__ static std::size_t weight_stride(int bytes, int groups) {
    return static_cast<std::size_t>(bytes) * groups;
  }
  // An array of the records that has `bytes` a group; `all`: of a whole record.
  __device__ const std::byte* values(const void* array, int bytes, std::size_t all,
                                     int group) const {
    return static_cast<const std::byte*>(array) + first_record * all + group * bytes;
  }
};

// Codes of weights and of activations; scales are applied to the sums of a unit.
template <class Matrix>
struct IntegerTiles {
  static constexpr Forms kForms{.codes = true};
  static constexpr int kGroupValues = kGroup, kUnits = kGroup / kUnit;
  using Low = Strip<static_cast<int>(Matrix::group_bytes(kLowPlane))>;
  using High = Strip<static_cast<int>(Matrix::group_bytes(kHighPlane))>;
  using Scale = Strip<static_cast<int>(Matrix::group_bytes(kScalePlane))>;
  using Factor = Strip<static_cast<int>(Matrix::group_bytes(kFactorPlane))>;
  using RecordCodes = Strip<kGroup>;
  using RecordScales = Strip<kUnits * 4>;  // and sums

  template <class Shape>
  struct Stage {
    static constexpr int kHigh = Shape::kOutputs * Low::kStride;
    static constexpr int kScale = kHigh + Shape::kOutputs * High::kStride;
    static constexpr int kFactor = kScale + Shape::kOutputs * Scale::kStride;
    static constexpr int kCodes = kFactor + Shape::kOutputs * Factor::kStride;
    static constexpr int kScales = kCodes + Shape::kRecords * RecordCodes::kStride;
    static constexpr int kSums = kScales + Shape::kRecords * RecordScales::kStride;
    static constexpr int kBytes = kSums + Shape::kRecords * RecordScales::kStride;
  };

  template <class Shape>
  __device__ static void fill(std::byte* stage, const TileSource& s, int group) {
    using Places = Stage<Shape>;
    const int groups = groups_of(s.matrix.width);
    fill_plane<Shape, kLowPlane, Low>(stage, s, groups, group);
    fill_plane<Shape, kHighPlane, High>(stage + Places::kHigh, s, groups, group);
    fill_plane<Shape, kScalePlane, Scale>(stage + Places::kScale, s, groups, group);
    fill_plane<Shape, kFactorPlane, Factor>(stage + Places::kFactor, s, groups, group);
    const auto stride = static_cast<std::size_t>(s.x.stride);
    RecordCodes::template fill<Shape::kRecords>(
        stage + Places::kCodes, s.values(s.x.codes, kGroup, stride, group), stride, s.records);
    RecordScales::template fill<Shape::kRecords>(
        stage + Places::kScales, s.values(s.x.scales, kUnits * 4, stride / 8, group), stride / 8,
        s.records);
    RecordScales::template fill<Shape::kRecords>(stage + Places::kSums,
                                                 s.values(s.x.sums, kUnits * 4, stride / 8, group),
                                                 stride / 8, s.records);
  }

  template <class Shape>
  __device__ static void multiply(const std::byte* stage, int first_output, int unit, int tiles,
                                  typename Shape::Sums& acc) {
    using Places = Stage<Shape>;
    const int g = lane_index() / 4, t = lane_index() % 4;
    const Weights w = weights<Shape>(stage, first_output, unit);
    TYTO_UNROLL
    for (int n = 0; n < Shape::kRecordTiles; ++n) {
      if (n >= tiles) break;
      const std::byte* const codes =
          stage + Places::kCodes + (8 * n + g) * RecordCodes::kStride + unit * kUnit;
      const unsigned b[2] = {load<unsigned>(codes + 4 * t), load<unsigned>(codes + 16 + 4 * t)};
      float x[2];
      int sums[2][2];  // [record][half of the unit]
      for (int c = 0; c < 2; ++c) {
        const int at = (8 * n + 2 * t + c) * RecordScales::kStride + unit * 4;
        x[c] = load<float>(stage + Places::kScales + at);
        const int both = load<int>(stage + Places::kSums + at);
        sums[c][0] = static_cast<std::int16_t>(both);
        sums[c][1] = both >> 16;
      }
      for (int m = 0; m < 2; ++m) {
        for (int s = 0; s < Matrix::kScales; ++s) {
          // The codes' offset is in the sums from the beginning.
          int product[4];
          for (int i = 0; i < 4; ++i) {
            const int(&of)[2] = sums[i % 2];
            product[i] =
                -Matrix::BlockCodes_::kOffset * (Matrix::kScales == 1 ? of[0] + of[1] : of[s]);
          }
          if constexpr (Matrix::kScales == 1)
            multiply_int8(product, w.a[m], b);
          else
            multiply_int8(product, w.a[m][2 * s], w.a[m][2 * s + 1], b[s]);
          for (int i = 0; i < 4; ++i)
            acc[m][n][i] =
                fmaf(static_cast<float>(product[i]), w.scale[m][i / 2][s] * x[i % 2], acc[m][n][i]);
        }
        if constexpr (Matrix::kMinimum)
          for (int i = 0; i < 4; ++i)
            acc[m][n][i] = fmaf(static_cast<float>(sums[i % 2][0] + sums[i % 2][1]),
                                w.minimum[m][i / 2] * x[i % 2], acc[m][n][i]);
      }
    }
  }

 private:
  // One unit of 32 outputs: products of 16, of which a lane has two rows.
  struct Weights {
    unsigned a[2][4];
    float scale[2][2][Matrix::kScales], minimum[2][2];
  };
  template <class Shape>
  __device__ static Weights weights(const std::byte* stage, int first_output, int unit) {
    using Places = Stage<Shape>;
    using Codes = typename Matrix::BlockCodes_;
    Weights w;
    for (int m = 0; m < 2; ++m)
      for (int h = 0; h < 2; ++h) {
        const int row = first_output + 16 * m + 8 * h + lane_index() / 4;
        int first, second;
        Codes::load_pair(stage + row * Low::kStride + unit * static_cast<int>(Codes::kLowBytes),
                         stage + Places::kHigh + row * High::kStride +
                             unit * static_cast<int>(Codes::kHighBytes),
                         lane_index() % 4, first, second);
        w.a[m][h] = static_cast<unsigned>(first);
        w.a[m][2 + h] = static_cast<unsigned>(second);
        const typename Matrix::Factors factors(stage + Places::kScale + row * Scale::kStride,
                                               stage + Places::kFactor + row * Factor::kStride,
                                               unit);
        for (int s = 0; s < Matrix::kScales; ++s) w.scale[m][h][s] = factors.scale[s];
        w.minimum[m][h] = factors.minimum;
      }
    return w;
  }

  template <class Shape, int kPlane, class Of>
  __device__ static void fill_plane(std::byte* to, const TileSource& s, int groups, int group) {
    constexpr int kBytes = static_cast<int>(Matrix::group_bytes(kPlane));
    if constexpr (kBytes > 0)
      Of::template fill<Shape::kOutputs>(to, s.weights(kPlane, kBytes, groups, group),
                                         TileSource::weight_stride(kBytes, groups), s.outputs);
  }
};

// 16-bit floats as they are in the file; Unit: how activations meet them.
template <class Unit>
struct FloatTiles {
  static constexpr Forms kForms = Unit::kForms;
  static constexpr int kGroupValues = kFloatGroup, kUnits = kFloatGroup / 16;
  using Weights = Strip<kFloatGroup * 2>;
  using Values = Strip<kFloatGroup * Unit::kRecordBytes>;

  template <class Shape>
  struct Stage {
    static constexpr int kValues = Shape::kOutputs * Weights::kStride;
    static constexpr int kBytes = kValues + Shape::kRecords * Values::kStride;
  };

  template <class Shape>
  __device__ static void fill(std::byte* stage, const TileSource& s, int group) {
    const int groups = float_groups_of(s.matrix.width);
    constexpr int kBytes = kFloatGroup * 2, kRecord = kFloatGroup * Unit::kRecordBytes;
    Weights::template fill<Shape::kOutputs>(stage, s.weights(kLowPlane, kBytes, groups, group),
                                            TileSource::weight_stride(kBytes, groups), s.outputs);
    const std::size_t stride = static_cast<std::size_t>(s.x.stride) * Unit::kRecordBytes;
    Values::template fill<Shape::kRecords>(stage + Stage<Shape>::kValues,
                                           s.values(Unit::values(s.x), kRecord, stride, group),
                                           stride, s.records);
  }

  template <class Shape>
  __device__ static void multiply(const std::byte* stage, int first_output, int unit, int tiles,
                                  typename Shape::Sums& acc) {
    const int g = lane_index() / 4;
    const auto weights = [&](int m, int h) {
      return stage + (first_output + 16 * m + 8 * h + g) * Weights::kStride + unit * 32;
    };
    for (int step = 0; step < Unit::kSteps; ++step) {
      unsigned a[2][4];
      for (int m = 0; m < 2; ++m)
        for (int h = 0; h < 2; ++h) Unit::weights(weights(m, h), step, a[m][h], a[m][2 + h]);
      TYTO_UNROLL
      for (int n = 0; n < Shape::kRecordTiles; ++n) {
        if (n >= tiles) break;
        unsigned b[2];
        Unit::record(stage + Stage<Shape>::kValues + (8 * n + g) * Values::kStride +
                         unit * 16 * Unit::kRecordBytes,
                     step, b);
        for (int m = 0; m < 2; ++m) Unit::multiply(acc[m][n], a[m], b);
      }
    }
  }
};

// Activations rounded to BF16, as the weights are.
struct BF16Unit {
  static constexpr Forms kForms{.halves = true};
  static constexpr int kRecordBytes = 2, kSteps = 1;

  __device__ static const void* values(const Records& x) { return x.halves; }
  __device__ static void weights(const std::byte* from, int, unsigned& first, unsigned& second) {
    first = load<unsigned>(from + lane_index() % 4 * 4);
    second = load<unsigned>(from + 16 + lane_index() % 4 * 4);
  }
  __device__ static void record(const std::byte* from, int step, unsigned (&b)[2]) {
    weights(from, step, b[0], b[1]);
  }
  __device__ static void multiply(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    multiply_bf16(c, a, b);
  }
};

// Half precision has 10 bits of fraction, as TF32, whose range is that of float: weights stay what
// they are, and no activation is too large.
struct F16Unit {
  static constexpr Forms kForms{.floats = true};
  static constexpr int kRecordBytes = 4, kSteps = 2;

  __device__ static const void* values(const Records& x) { return x.floats; }
  __device__ static void weights(const std::byte* from, int step, unsigned& first,
                                 unsigned& second) {
    const std::size_t i = static_cast<std::size_t>(8 * step + lane_index() % 4);
    first = static_cast<unsigned>(__float_as_int(half_at(from, i)));
    second = static_cast<unsigned>(__float_as_int(half_at(from, i + 4)));
  }
  __device__ static void record(const std::byte* from, int step, unsigned (&b)[2]) {
    const auto* x = reinterpret_cast<const float*>(from) + 8 * step + lane_index() % 4;
    b[0] = float_to_tf32(x[0]);
    b[1] = float_to_tf32(x[4]);
  }
  __device__ static void multiply(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    multiply_tf32(c, a, b);
  }
};

// How a format goes by tensor cores, if it does.
template <class Matrix>
struct TilesOf {
  static constexpr bool kServed = Matrix::kQuantized;
  using Tiles = IntegerTiles<Matrix>;
};
template <>
struct TilesOf<FloatMatrix<float>> {
  static constexpr bool kServed = false;
};
template <>
struct TilesOf<FloatMatrix<quant::BF16>> {
  static constexpr bool kServed = true;
  using Tiles = FloatTiles<BF16Unit>;
};
template <>
struct TilesOf<FloatMatrix<quant::F16>> {
  static constexpr bool kServed = true;
  using Tiles = FloatTiles<F16Unit>;
};

// The sums of all warps that divide k, to the first of them; `parts`: shared.
template <class Shape>
__device__ void add_warps(float* parts, int output_warp, int unit_warp,
                          typename Shape::Sums& sums) {
  float* const acc = &sums[0][0][0];
  const auto at = [&](int warp, int i) -> float& {
    return parts[((warp * Shape::kOutputWarps + output_warp) * Shape::kSums + i) * kWarp +
                 lane_index()];
  };
  if (unit_warp > 0) {
    TYTO_UNROLL
    for (int i = 0; i < Shape::kSums; ++i) at(unit_warp - 1, i) = acc[i];
  }
  __syncthreads();
  if (unit_warp > 0) return;
  for (int w = 0; w + 1 < Shape::kUnitWarps; ++w) {
    TYTO_UNROLL
    for (int i = 0; i < Shape::kSums; ++i) acc[i] += at(w, i);
  }
}

template <class Tiles, class Shape>
__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    tile_kernel(const __grid_constant__ Products products, Records x) {
  begin_kernel();
  constexpr int kStage = Tiles::template Stage<Shape>::kBytes;
  static_assert(2 * kStage <= kMostShared);
  static_assert(2 * kStage >=
                (Shape::kUnitWarps - 1) * Shape::kOutputWarps * Shape::kSums * kWarp * 4);
  const Piece piece(products, static_cast<int>(blockIdx.x), Shape::kOutputs);
  const MatrixView& w = piece.part.matrix;
  const Share share(products, piece.part);
  const int skipped = static_cast<int>(blockIdx.y) * Shape::kRecords;
  const int records = min(share.records - skipped, Shape::kRecords);
  if (records <= 0) return;
  const int first = share.first_record + skipped;
  const int outputs = min(w.rows - piece.first_output, Shape::kOutputs);
  const TileSource source{w, x, share.first_row + piece.first_output, outputs, first, records};
  const int output_warp = warp_index() % Shape::kOutputWarps;
  const int unit_warp = warp_index() / Shape::kOutputWarps, tiles = (records + 7) / 8;
  std::byte* const shared = dynamic_shared();

  typename Shape::Sums acc = {};
  const int groups = (w.width + Tiles::kGroupValues - 1) / Tiles::kGroupValues;
  Tiles::template fill<Shape>(shared, source, 0);
  commit_copies();
  for (int group = 0; group < groups; ++group) {
    if (group + 1 < groups)
      Tiles::template fill<Shape>(shared + (group + 1) % 2 * kStage, source, group + 1);
    commit_copies();
    wait_copies<1>();
    __syncthreads();
    for (int unit = unit_warp; unit < Tiles::kUnits; unit += Shape::kUnitWarps)
      Tiles::template multiply<Shape>(shared + group % 2 * kStage, output_warp * kWarpOutputs, unit,
                                      tiles, acc);
    __syncthreads();
  }

  if constexpr (Shape::kUnitWarps > 1) {
    add_warps<Shape>(reinterpret_cast<float*>(shared), output_warp, unit_warp, acc);
    if (unit_warp > 0) return;
  }
  const int g = lane_index() / 4, t = lane_index() % 4;
  TYTO_UNROLL
  for (int m = 0; m < 2; ++m) TYTO_UNROLL
  for (int n = 0; n < Shape::kRecordTiles; ++n) TYTO_UNROLL
  for (int i = 0; i < 4; ++i) {
    const int output = output_warp * kWarpOutputs + 16 * m + i / 2 * 8 + g;
    const int record = 8 * n + 2 * t + i % 2;
    if (output < outputs && record < records)
      store(piece.part.to, first + record, piece.first_output + output, acc[m][n][i]);
  }
}

template <class Tiles, class Shape>
cudaError_t multiply_tiles_of(const Products& products, const Records& x, int rows,
                              cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(pieces_of(products, Shape::kOutputs)),
                  ceil_div(rows, Shape::kRecords), static_cast<unsigned>(products.most_groups));
  return launch_shared(tile_kernel<Tiles, Shape>, grid, kTileThreads,
                       2 * Tiles::template Stage<Shape>::kBytes, stream, products, x);
}
template <class Tiles>
cudaError_t multiply_tiles(const Products& products, const Records& x, int rows,
                           cudaStream_t stream) {
  if (rows <= 16) return multiply_tiles_of<Tiles, TileShape<1, 2>>(products, x, rows, stream);
  if (rows <= 32) return multiply_tiles_of<Tiles, TileShape<1, 4>>(products, x, rows, stream);
  if (rows <= 64) return multiply_tiles_of<Tiles, TileShape<1, 8>>(products, x, rows, stream);
  constexpr bool kFits = 2 * Tiles::template Stage<TileShape<4, 8>>::kBytes <= kMostShared;
  return multiply_tiles_of<Tiles, TileShape<kFits ? 4 : 2, 8>>(products, x, rows, stream);
}

}  // namespace tyto::cuda
