#include "src/file/gguf_types.h"

#include <fmt/format.h>

namespace tyto::file {
namespace {

struct ValueFacts {
  std::string_view name;
  std::uint8_t size;
};
constexpr ValueFacts kValues[kGgufTypes] = {
    {"u8", 1},   {"i8", 1},     {"u16", 2},   {"i16", 2}, {"u32", 4}, {"i32", 4}, {"f32", 4},
    {"bool", 1}, {"string", 0}, {"array", 0}, {"u64", 8}, {"i64", 8}, {"f64", 8}};

struct TensorFacts {
  std::uint32_t number;
  std::string_view name;
  std::uint16_t block_values, block_bytes;
};
// ggml.h and ggml-common.h. Numbers that are missing were taken back. q8_1 and q8_K are never
// stored in files.
constexpr TensorFacts kTensors[] = {
    {0, "f32", 1, 4},         {1, "f16", 1, 2},         {2, "q4_0", 32, 18},
    {3, "q4_1", 32, 20},      {6, "q5_0", 32, 22},      {7, "q5_1", 32, 24},
    {8, "q8_0", 32, 34},      {9, "q8_1", 32, 0},       {10, "q2_k", 256, 84},
    {11, "q3_k", 256, 110},   {12, "q4_k", 256, 144},   {13, "q5_k", 256, 176},
    {14, "q6_k", 256, 210},   {15, "q8_k", 256, 0},     {16, "iq2_xxs", 256, 66},
    {17, "iq2_xs", 256, 74},  {18, "iq3_xxs", 256, 98}, {19, "iq1_s", 256, 50},
    {20, "iq4_nl", 32, 18},   {21, "iq3_s", 256, 110},  {22, "iq2_s", 256, 82},
    {23, "iq4_xs", 256, 136}, {24, "i8", 1, 1},         {25, "i16", 1, 2},
    {26, "i32", 1, 4},        {27, "i64", 1, 8},        {28, "f64", 1, 8},
    {29, "iq1_m", 256, 56},   {30, "bf16", 1, 2},       {34, "tq1_0", 256, 54},
    {35, "tq2_0", 256, 66},   {39, "mxfp4", 32, 17},    {40, "nvfp4", 64, 36},
    {41, "q1_0", 128, 18}};

}  // namespace

std::string_view name(GgufType type) noexcept {
  return kValues[static_cast<std::uint32_t>(type)].name;
}

std::uint64_t fixed_size(GgufType type) noexcept {
  return kValues[static_cast<std::uint32_t>(type)].size;
}

bool is_signed(GgufType type) noexcept {
  return type == GgufType::i8 || type == GgufType::i16 || type == GgufType::i32 ||
         type == GgufType::i64;
}

bool is_integer(GgufType type) noexcept {
  return is_signed(type) || type == GgufType::u8 || type == GgufType::u16 ||
         type == GgufType::u32 || type == GgufType::u64;
}

TensorType tensor_type(std::uint32_t gguf_type) {
  if (const quant::Format* format = quant::find_gguf_type(gguf_type))
    return {format, std::string(format->name), static_cast<std::uint64_t>(format->block_values),
            static_cast<std::uint64_t>(format->block_bytes)};
  for (const TensorFacts& facts : kTensors)
    if (facts.number == gguf_type)
      return {nullptr, std::string(facts.name), facts.block_values, facts.block_bytes};
  return {nullptr, fmt::format("type {}", gguf_type), 1, 0};
}

}  // namespace tyto::file
