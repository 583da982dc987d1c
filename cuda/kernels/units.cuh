// Computes  what a weight format means: the product of one unit of a matrix row with one unit of a
//           record, single values, and the way from the file's rows to the planes of matrix.h
#pragma once
#include "cuda/kernels/codes.cuh"
#include "cuda/kernels/records.cuh"
#include "cuda/sizes.h"
#include "src/quant/blocks.h"

namespace tyto::cuda {

template <class Matrix>
MatrixLayout layout_of(std::size_t rows, std::size_t width) {
  MatrixLayout layout;
  for (int p = 0; p < kPlanes; ++p) {
    layout.planes[p] = {layout.bytes, Matrix::row_bytes(p, width)};
    layout.bytes += aligned(rows * layout.planes[p].row_bytes);
  }
  return layout;
}

__host__ __device__ constexpr std::size_t units_of_row(std::size_t width) {  // with those of zeros
  return groups_of(width) * (kGroup / kUnit);
}

// The codes of a format; signed where they have 8 bits, so that nothing is left to subtract.
template <class Block>
struct BlockCodes : Codes<Block::kBits> {
  static_assert(Block::kBits < 8 || Block::kOffset == 128);
  static constexpr int kOffset = Block::kBits == 8 ? 0 : Block::kOffset;
  using Codes<Block::kBits>::kLowBytes, Codes<Block::kBits>::kHighBytes;

  // Which unit of a plane.
  __device__ static std::size_t index(const MatrixView& w, int row, int unit) {
    return static_cast<std::size_t>(w.first_row + row) * units_of_row(w.width) + unit;
  }
  __device__ static void load_words(const MatrixView& w, std::size_t unit, int (&words)[8]) {
    Codes<Block::kBits>::load_words(w.planes[kLowPlane] + unit * kLowBytes,
                                    w.planes[kHighPlane] + unit * kHighBytes, words);
  }
  __device__ static int one(const int (&words)[8], int i) {
    const int byte = words[i / 4] >> 8 * (i % 4);
    return (Block::kBits == 8 ? static_cast<std::int8_t>(byte) : byte & 255) - kOffset;
  }
  __device__ static int one(const MatrixView& w, std::size_t unit, int i) {
    return Codes<Block::kBits>::one(w.planes[kLowPlane] + unit * kLowBytes,
                                    w.planes[kHighPlane] + unit * kHighBytes, i) -
           kOffset;
  }
};

// d * (code - kOffset), or d * code + m
template <class Block>
struct SimpleMatrix {
  static constexpr bool kQuantized = true, kMinimum = quant::kHasMinimum<Block>;
  static constexpr int kValues = kUnit, kScales = 1;  // kScales: of a unit, beside a minimum
  static constexpr int kPackedAtOnce = Block::kValues;
  static constexpr std::size_t kScaleBytes = kMinimum ? 4 : 2;
  using BlockCodes_ = BlockCodes<Block>;
  __host__ __device__ static constexpr std::size_t group_bytes(int plane) {
    return plane == kLowPlane     ? 8 * BlockCodes_::kLowBytes
           : plane == kHighPlane  ? 8 * BlockCodes_::kHighBytes
           : plane == kScalePlane ? 8 * kScaleBytes
                                  : 0;
  }

  __host__ __device__ static std::size_t row_bytes(int plane, std::size_t width) {
    return groups_of(width) * group_bytes(plane);
  }
  // Block i of a row: false where a scale is not finite.
  __device__ static bool pack(const std::byte* row, int, int i,
                              std::byte* const (&planes)[kPlanes]) {
    const Block& block = reinterpret_cast<const Block*>(row)[i];
    std::uint8_t codes[kUnit];
    block.unpack(codes);
    BlockCodes_::pack(codes, planes[kLowPlane] + i * BlockCodes_::kLowBytes,
                      planes[kHighPlane] + i * BlockCodes_::kHighBytes);
    auto* const scales = reinterpret_cast<std::uint16_t*>(planes[kScalePlane] + i * kScaleBytes);
    scales[0] = block.d.bits;
    bool finite = is_finite(block.d);
    if constexpr (kMinimum) {
      scales[1] = block.m.bits;
      finite = finite && is_finite(block.m);
    }
    return finite;
  }

  struct Unit {
    int words[8];
    float d, m = 0;

    __device__ Unit(const MatrixView& w, int row, int unit) {
      const std::size_t at = BlockCodes_::index(w, row, unit);
      BlockCodes_::load_words(w, at, words);
      d = half_at(w.planes[kScalePlane] + at * kScaleBytes, 0);
      if constexpr (kMinimum) m = half_at(w.planes[kScalePlane] + at * kScaleBytes, 1);
    }
    __device__ float multiply(const Records& x, int record, int unit, float acc) const {
      const UnitRecord a(x, record, unit);
      int sum = 0;
      for (int i = 0; i < 8; ++i) sum = __dp4a(words[i], a.words[i], sum);
      const int codes = a.sums[0] + a.sums[1];
      acc = fmaf(static_cast<float>(sum - BlockCodes_::kOffset * codes), d * a.scale, acc);
      if constexpr (kMinimum) acc = fmaf(static_cast<float>(codes), m * a.scale, acc);
      return acc;
    }
    __device__ float value(int i) const {
      return fmaf(d, static_cast<float>(BlockCodes_::one(words, i)), m);
    }
  };

  // Of unit u of a group, whose bytes in the planes these are.
  struct Factors {
    float scale[kScales], minimum = 0;

    __device__ Factors(const std::byte* scales, const std::byte*, int u) {
      scale[0] = half_at(scales + u * kScaleBytes, 0);
      if constexpr (kMinimum) minimum = half_at(scales + u * kScaleBytes, 1);
    }
  };

  __device__ static float value(const MatrixView& w, int row, int i) {
    const std::size_t at = BlockCodes_::index(w, row, i / kUnit);
    const std::byte* scales = w.planes[kScalePlane] + at * kScaleBytes;
    const float product =
        __fmul_rn(half_at(scales, 0), static_cast<float>(BlockCodes_::one(w, at, i % kUnit)));
    if constexpr (kMinimum) return __fadd_rn(product, half_at(scales, 1));
    return product;
  }
};

// d * scale * code - dmin * min per 32, or d * scale * (code - kOffset) per 16
template <class Block>
struct SuperMatrix {
  static constexpr bool kQuantized = true, kMinimum = quant::kHasMinimum<Block>;
  static constexpr int kValues = kUnit, kScales = kMinimum ? 1 : 2;
  static constexpr int kPackedAtOnce = Block::kValues;
  static constexpr std::size_t kUnits = 8, kScaleBytes = 16, kFactorBytes = kMinimum ? 0 : 2;
  using BlockCodes_ = BlockCodes<Block>;
  __host__ __device__ static constexpr std::size_t group_bytes(int plane) {
    return plane == kLowPlane     ? 8 * BlockCodes_::kLowBytes
           : plane == kHighPlane  ? 8 * BlockCodes_::kHighBytes
           : plane == kScalePlane ? kScaleBytes
                                  : kFactorBytes;
  }

  __host__ __device__ static std::size_t row_bytes(int plane, std::size_t width) {
    return groups_of(width) * group_bytes(plane);
  }
  __device__ static bool pack(const std::byte* row, int, int i,
                              std::byte* const (&planes)[kPlanes]) {
    const Block& block = reinterpret_cast<const Block*>(row)[i];
    std::uint8_t codes[Block::kValues];
    block.unpack(codes);
    for (std::size_t u = 0; u < kUnits; ++u)
      BlockCodes_::pack(codes + u * kUnit,
                        planes[kLowPlane] + (i * kUnits + u) * BlockCodes_::kLowBytes,
                        planes[kHighPlane] + (i * kUnits + u) * BlockCodes_::kHighBytes);
    std::byte* const scales = planes[kScalePlane] + i * kScaleBytes;
    bool finite = is_finite(block.d);
    if constexpr (kMinimum) {
      reinterpret_cast<std::uint16_t*>(scales)[0] = block.d.bits;
      reinterpret_cast<std::uint16_t*>(scales)[1] = block.dmin.bits;
      memcpy(scales + 4, block.sub_scales, 12);
      finite = finite && is_finite(block.dmin);
    } else {
      memcpy(scales, block.sub_scales, kScaleBytes);
      reinterpret_cast<std::uint16_t*>(planes[kFactorPlane])[i] = block.d.bits;
    }
    return finite;
  }

  // Scales of a unit: one and a minimum, or one for each half.
  struct Scales {
    float d, dmin = 0;
    int scale[2], minimum = 0;

    // Of unit u of a group, whose bytes in the planes these are.
    __device__ Scales(const std::byte* at, const std::byte* factor, int u) {
      if constexpr (kMinimum) {
        d = half_at(at, 0);
        dmin = half_at(at, 1);
        // 6 bits each (quant::unpack_sub_scales).
        const auto* packed = reinterpret_cast<const std::uint8_t*>(at + 4);
        if (u < 4) {
          scale[0] = packed[u] & 63;
          minimum = packed[4 + u] & 63;
        } else {
          scale[0] = (packed[4 + u] & 15) | packed[u - 4] >> 6 << 4;
          minimum = packed[4 + u] >> 4 | packed[u] >> 6 << 4;
        }
        scale[1] = scale[0];
      } else {
        d = half_at(factor, 0);
        const auto* packed = reinterpret_cast<const std::int8_t*>(at) + 2 * u;
        scale[0] = packed[0];
        scale[1] = packed[1];
      }
    }
    __device__ Scales(const MatrixView& w, std::size_t unit)
        : Scales(w.planes[kScalePlane] + unit / kUnits * kScaleBytes,
                 w.planes[kFactorPlane] + unit / kUnits * kFactorBytes,
                 static_cast<int>(unit % kUnits)) {}
  };
  struct Factors {
    float scale[SuperMatrix::kScales], minimum;

    __device__ Factors(const std::byte* at, const std::byte* factor, int u) {
      const Scales scales(at, factor, u);
      for (int h = 0; h < SuperMatrix::kScales; ++h)
        scale[h] = scales.d * static_cast<float>(scales.scale[h]);
      minimum = -scales.dmin * static_cast<float>(scales.minimum);
    }
  };

  struct Unit {
    int words[8];
    Scales scales;

    __device__ Unit(const MatrixView& w, int row, int unit)
        : scales(w, BlockCodes_::index(w, row, unit)) {
      BlockCodes_::load_words(w, BlockCodes_::index(w, row, unit), words);
    }
    __device__ float multiply(const Records& x, int record, int unit, float acc) const {
      const UnitRecord a(x, record, unit);
      int sum[2] = {};
      for (int i = 0; i < 8; ++i) sum[i / 4] = __dp4a(words[i], a.words[i], sum[i / 4]);
      int total = 0;
      for (int h = 0; h < 2; ++h)
        total += scales.scale[h] * (sum[h] - BlockCodes_::kOffset * a.sums[h]);
      acc = fmaf(static_cast<float>(total), scales.d * a.scale, acc);
      if constexpr (kMinimum)
        acc = fmaf(static_cast<float>(scales.minimum * (a.sums[0] + a.sums[1])),
                   -scales.dmin * a.scale, acc);
      return acc;
    }
    __device__ float value(int i) const {
      const float scaled = scales.d * static_cast<float>(scales.scale[i / 16]);
      return fmaf(scaled, static_cast<float>(BlockCodes_::one(words, i)),
                  -scales.dmin * static_cast<float>(scales.minimum));
    }
  };

  __device__ static float value(const MatrixView& w, int row, int i) {
    const std::size_t at = BlockCodes_::index(w, row, i / kUnit);
    const Scales scales(w, at);
    const float product =
        __fmul_rn(__fmul_rn(scales.d, static_cast<float>(scales.scale[i % kUnit / 16])),
                  static_cast<float>(BlockCodes_::one(w, at, i % kUnit)));
    if constexpr (kMinimum)
      return __fadd_rn(product, -__fmul_rn(scales.dmin, static_cast<float>(scales.minimum)));
    return product;
  }
};

__device__ inline float float_of(float value) { return value; }
__device__ inline float float_of(quant::F16 value) {
  return __half2float(__ushort_as_half(value.bits));
}
__device__ inline float float_of(quant::BF16 value) { return bf16_to_float(value.bits); }

template <class Value>
struct FloatMatrix {
  static constexpr bool kQuantized = false;
  static constexpr int kValues = 8;  // of a unit here
  static constexpr int kPackedAtOnce = kValues;
  using Value_ = Value;

  __host__ __device__ static std::size_t padded(std::size_t width) {
    return float_groups_of(width) * kFloatGroup;
  }
  __host__ __device__ static std::size_t row_bytes(int plane, std::size_t width) {
    return plane == kLowPlane ? padded(width) * sizeof(Value) : 0;
  }
  __device__ static bool pack(const std::byte* row, int width, int i,
                              std::byte* const (&planes)[kPlanes]) {
    const auto* const from = reinterpret_cast<const Value*>(row);
    auto* const to = reinterpret_cast<Value*>(planes[kLowPlane]);
    bool finite = true;
    for (int j = i * kValues; j < min(width, (i + 1) * kValues); ++j) {
      to[j] = from[j];
      finite = finite && isfinite(float_of(from[j]));
    }
    return finite;
  }

  struct alignas(16) Unit {
    Value values[kValues];

    __device__ Unit(const MatrixView& w, int row, int unit) {
      load_values(at(w, row) + unit * kValues * sizeof(Value), values);
    }
    __device__ float multiply(const Records& x, int record, int unit, float acc) const {
      float from[kValues];
      load_values(x.floats + static_cast<std::size_t>(record) * x.stride + unit * kValues, from);
      TYTO_UNROLL
      for (int i = 0; i < kValues; ++i) acc = fmaf(float_of(values[i]), from[i], acc);
      return acc;
    }
  };

  __device__ static float value(const MatrixView& w, int row, int i) {
    return float_of(reinterpret_cast<const Value*>(at(w, row))[i]);
  }

 private:
  __device__ static const std::byte* at(const MatrixView& w, int row) {
    return w.planes[kLowPlane] +
           static_cast<std::size_t>(w.first_row + row) * padded(w.width) * sizeof(Value);
  }
};

}  // namespace tyto::cuda
