// Activation records (kernel_table.h): one float row to the form that a weight format wants. The
// definition is written once, in plain C++ that every compiler vectorizes for the ISA at hand, so
// that all tables make the same codes.
#pragma once
#include <algorithm>

#include "cpu/kernel_table.h"
#include "src/quant/blocks.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

// Codes and scale of one group. A group with NaN or infinity has the scale NaN, so that whatever is
// computed from it is NaN and gets noticed. One too small for its reciprocal to be a float is zero.
template <int kGroup>
float make_codes(const float* x, std::int8_t* codes, std::int16_t* sums) {
  std::int32_t largest = 0;  // floats without their sign compare as integers, NaN above infinity
  for (int i = 0; i < kGroup; ++i) {
    const std::int32_t bits = std::bit_cast<std::int32_t>(x[i]) & 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  const float peak = std::bit_cast<float>(largest);
  const bool usable = peak >= 0x1p-119f && largest < 0x7f800000;
  if (!usable) {
    std::memset(codes, 0, kGroup);
    std::memset(sums, 0, kGroup / 16 * sizeof(std::int16_t));
    return largest < 0x7f800000 ? 0.0f : std::bit_cast<float>(0x7fc00000);
  }
  const float inverse = 127.0f / peak;
  for (int i = 0; i < kGroup; ++i) {
    // Adding 1.5 * 2^23 rounds to nearest even and leaves the integer in the low bits.
    const float shifted = x[i] * inverse + 0x1.8p23f;
    codes[i] = static_cast<std::int8_t>(std::bit_cast<std::int32_t>(shifted) - 0x4b400000);
  }
  for (int i = 0; i < kGroup / 16; ++i) {
    std::int16_t sum = 0;
    for (int j = 0; j < 16; ++j) sum = static_cast<std::int16_t>(sum + codes[i * 16 + j]);
    sums[i] = sum;
  }
  return peak / 127.0f;
}

template <ActivationForm kForm>
void make_quantized(const float* x, std::size_t k, std::byte* record, std::size_t) {
  constexpr int kGroup = kForm == ActivationForm::a32 ? 32 : 256;
  const ActivationLayout layout = activation_layout(kForm, k);
  auto* codes = reinterpret_cast<std::int8_t*>(record);
  auto* scales = reinterpret_cast<float*>(record + layout.scales);
  auto* sums = reinterpret_cast<std::int16_t*>(record + layout.sums);
  for (std::size_t i = 0; i < layout.k; i += kGroup) {
    float padded[kGroup];
    const float* group = x + i;
    if (i + kGroup > k) {
      std::memset(padded, 0, sizeof(padded));
      if (i < k) std::memcpy(padded, group, (k - i) * sizeof(float));
      group = padded;
    }
    scales[i / kGroup] = make_codes<kGroup>(group, codes + i, sums + i / 16);
    if constexpr (kForm == ActivationForm::a256) {
      constexpr int kOrder[8] = {0, 2, 1, 3, 4, 6, 5, 7};
      const std::int16_t* const of_16 = sums + i / 16;
      auto* const sums32 = reinterpret_cast<std::int16_t*>(record + layout.sums32);
      for (int j = 0; j < 8; ++j)
        sums32[i / 32 + static_cast<std::size_t>(j)] =
            static_cast<std::int16_t>(of_16[2 * kOrder[j]] + of_16[2 * kOrder[j] + 1]);
    }
  }
}

inline void make_f32(const float* x, std::size_t k, std::byte* record, std::size_t) {
  std::memcpy(record, x, k * sizeof(float));
  const ActivationLayout layout = activation_layout(ActivationForm::f32, k);
  std::memset(record + k * sizeof(float), 0, layout.bytes - k * sizeof(float));
}

inline void make_bf16(const float* x, std::size_t k, std::byte* record, std::size_t slice_stride) {
  const std::size_t padded = activation_layout(ActivationForm::bf16, k).k;
  for (std::size_t first = 0; first < k; first += kSliceK, record += slice_stride) {
    auto* const values = reinterpret_cast<std::uint16_t*>(record);
    const std::size_t count = std::min(k - first, kSliceK), all = std::min(padded - first, kSliceK);
    for (std::size_t i = 0; i < count; ++i) values[i] = quant::to_bf16(x[first + i]).bits;
    std::memset(values + count, 0, (all - count) * sizeof(std::uint16_t));
  }
}

constexpr MakeActivations kMakeActivations[kActivationForms] = {
    make_f32, make_bf16, make_quantized<ActivationForm::a32>, make_quantized<ActivationForm::a256>};

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
