// Linear kernels in plain C++, for machines without the vector ISAs and as a second opinion on
// them. A panel is one row in the file's own blocks. The families have the names that the vector
// ISAs use (linear-inl.h), so that a format's cpu-inl.h picks one of them for every ISA.
#pragma once
#include "cpu/kernel_table.h"
#include "src/quant/blocks.h"

namespace tyto::cpu::scalar {
namespace {

struct QuantizedRecord {
  const std::int8_t* codes;
  const float* scales;
  const std::int16_t* sums;  // of 16 codes each
  QuantizedRecord(const std::byte* record, const ActivationLayout& layout)
      : codes(reinterpret_cast<const std::int8_t*>(record)),
        scales(reinterpret_cast<const float*>(record + layout.scales)),
        sums(reinterpret_cast<const std::int16_t*>(record + layout.sums)) {}
};

inline std::int32_t dot_codes(const std::uint8_t* weights, const std::int8_t* activations,
                              int count) {
  std::int32_t sum = 0;
  for (int i = 0; i < count; ++i) sum += weights[i] * activations[i];
  return sum;
}

// 32 values, one scale: d * (code - kOffset) or d * code + m.
template <class B>
struct SimpleBlocks {
  using Block = B;
  static constexpr ActivationForm kForm = ActivationForm::a32;
  static constexpr std::size_t kBlockBytes = sizeof(Block), kValues = 32;

  static void dequantize(const std::byte* row, std::size_t k, float* out) {
    quant::dequantize_blocks<Block>(row, k / kValues, out);
  }

  static float dot(const std::byte* row, std::size_t k, const std::byte* record) {
    const QuantizedRecord a(record, activation_layout(kForm, k));
    float acc = 0;
    for (std::size_t b = 0; b < k / kValues; ++b) {
      const Block& block = quant::block_at<Block>(row, b);
      std::uint8_t codes[kValues];
      block.unpack(codes);
      const std::int32_t sum = a.sums[2 * b] + a.sums[2 * b + 1];
      const std::int32_t product =
          dot_codes(codes, a.codes + b * kValues, kValues) - Block::kOffset * sum;
      acc = std::fma(static_cast<float>(product), quant::to_float(block.d) * a.scales[b], acc);
      if constexpr (quant::kHasMinimum<Block>)
        acc = std::fma(quant::to_float(block.m), a.scales[b] * static_cast<float>(sum), acc);
    }
    return acc;
  }
};

// 256 values in sub-blocks with integer scales: d * scale * (code - kOffset) or d * scale * code -
// dmin * min.
template <class B>
struct SuperBlocks {
  using Block = B;
  static constexpr ActivationForm kForm = ActivationForm::a256;
  static constexpr std::size_t kBlockBytes = sizeof(Block), kValues = 256;

  static void dequantize(const std::byte* row, std::size_t k, float* out) {
    quant::dequantize_blocks<Block>(row, k / kValues, out);
  }

  static float dot(const std::byte* row, std::size_t k, const std::byte* record) {
    const QuantizedRecord a(record, activation_layout(kForm, k));
    float acc = 0;
    for (std::size_t b = 0; b < k / kValues; ++b) {
      const Block& block = quant::block_at<Block>(row, b);
      std::uint8_t codes[kValues];
      block.unpack(codes);
      const std::int8_t* activations = a.codes + b * kValues;
      const std::int16_t* sums = a.sums + b * 16;
      const float d = quant::to_float(block.d);
      std::int32_t total = 0;
      if constexpr (quant::kHasMinimum<Block>) {
        const quant::SubScales sub = quant::unpack_sub_scales(block.sub_scales);
        std::int32_t minimums = 0;
        for (int s = 0; s < 8; ++s) {
          total += sub.scale[s] * dot_codes(codes + s * 32, activations + s * 32, 32);
          minimums += sub.min[s] * (sums[2 * s] + sums[2 * s + 1]);
        }
        acc = std::fma(static_cast<float>(total), d * a.scales[b], acc);
        acc =
            std::fma(-static_cast<float>(minimums), quant::to_float(block.dmin) * a.scales[b], acc);
      } else {
        for (int s = 0; s < 16; ++s)
          total += block.sub_scales[s] *
                   (dot_codes(codes + s * 16, activations + s * 16, 16) - Block::kOffset * sums[s]);
        acc = std::fma(static_cast<float>(total), d * a.scales[b], acc);
      }
    }
    return acc;
  }
};

template <class Value>
struct FloatRows {
  static constexpr ActivationForm kForm = ActivationForm::f32;
  static constexpr std::size_t kBlockBytes = sizeof(Value), kValues = 1;

  static void dequantize(const std::byte* row, std::size_t k, float* out) {
    quant::dequantize_floats<Value>(row, k, out);
  }

  static float dot(const std::byte* row, std::size_t k, const std::byte* record) {
    const auto* x = reinterpret_cast<const float*>(record);
    float acc = 0;
    for (std::size_t i = 0; i < k; ++i)
      acc = std::fma(quant::to_float(quant::load_block<Value>(row, i)), x[i], acc);
    return acc;
  }
};

template <class Rows>
struct Linear {
  static std::size_t row_bytes(std::size_t k) { return k / Rows::kValues * Rows::kBlockBytes; }
  static std::size_t panel_bytes(std::size_t k) { return round_up(row_bytes(k), 64); }

  static void pack(const std::byte* file_rows, int, std::size_t k, std::byte* panel) {
    std::memcpy(panel, file_rows, row_bytes(k));
    std::memset(panel + row_bytes(k), 0, panel_bytes(k) - row_bytes(k));
  }

  static void unpack_row(const std::byte* panel, int, std::size_t k, float* out) {
    Rows::dequantize(panel, k, out);
  }

  static void multiply(const std::byte* weights, int panels, std::size_t k, const Activations& x,
                       int rows, float* out, std::size_t out_stride, std::byte*) {
    for (int p = 0; p < panels; ++p)
      for (int r = 0; r < rows; ++r)
        out[static_cast<std::size_t>(r) * out_stride + static_cast<std::size_t>(p)] =
            Rows::dot(weights + static_cast<std::size_t>(p) * panel_bytes(k), k, x.from(r).first);
  }

  static std::size_t scratch_bytes(std::size_t) { return 0; }
};

template <class Rows, int kVariant>
constexpr LinearKernel linear_kernel(const quant::Format& format) {
  using L = Linear<Rows>;
  return {&format, Rows::kForm,   1,           L::panel_bytes,
          L::pack, L::unpack_row, L::multiply, L::scratch_bytes};
}

}  // namespace
}  // namespace tyto::cpu::scalar
