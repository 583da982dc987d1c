#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "src/quant/blocks.h"
#include "src/quant/e4m3.h"
#include "src/quant/format.h"
#include "src/quant/q4_0/format.h"
#include "src/quant/q6_k/format.h"
#include "tests/catch.h"

namespace quant = tyto::quant;

namespace {

std::uint64_t mix(std::uint64_t x) {  // as in tests/data/make_formats.py
  x *= 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

std::uint64_t checksum(const quant::Format& format) {
  constexpr std::size_t kBlocks = 65536;
  const std::size_t size = static_cast<std::size_t>(format.block_bytes);
  const std::size_t scale = format.name == "q6_k" ? 208 : 0;
  std::vector<std::byte> block(size);
  std::vector<float> values(static_cast<std::size_t>(format.block_values));
  std::uint64_t sum = 0, index = 0;
  for (std::size_t b = 0; b < kBlocks; ++b) {
    for (std::size_t i = 0; i < size; ++i) block[i] = static_cast<std::byte>(mix(b * size + i));
    block[scale] = static_cast<std::byte>(b);
    block[scale + 1] = static_cast<std::byte>(b >> 8);
    format.dequantize(block.data(), 1, values.data());
    for (const float value : values)
      sum += (std::isnan(value) ? 0x7fc00000u : std::bit_cast<std::uint32_t>(value)) * mix(++index);
  }
  return sum;
}

}  // namespace

TEST_CASE("Every format dequantizes to the reference's bits, for every scale", "[quant]") {
  std::ifstream file(TYTO_TEST_FILES "/formats.txt");
  std::string name;
  std::uint32_t type;
  int values, bytes;
  std::uint64_t expected;
  std::size_t count = 0;
  for (; file >> name >> std::dec >> type >> values >> bytes >> std::hex >> expected; ++count) {
    INFO(name);
    const quant::Format* format = quant::find_format(name);
    REQUIRE(format);
    CHECK(quant::find_gguf_type(type) == format);
    CHECK(format->block_values == values);
    CHECK(format->block_bytes == bytes);
    CHECK(checksum(*format) == expected);
  }
  CHECK(count == 11);
}

TEST_CASE("A NaN or infinite scale is not finite, a NaN code byte is only a code", "[quant]") {
  for (const quant::Format* format : quant::formats()) {
    INFO(format->name);
    std::vector<std::byte> blocks(static_cast<std::size_t>(format->block_bytes) * 3, std::byte{0});
    CHECK(format->finite(blocks.data(), 3));
    std::byte* last = blocks.data() + 2 * format->block_bytes;
    // A value that is infinite in half precision, in bfloat16 and, placed high, in single
    // precision.
    const std::size_t at = format->name == "q6_k" ? 208 : format->name == "f32" ? 2 : 0;
    const std::uint16_t infinity =
        format->name == "f32" || format->name == "bf16" ? 0x7f80 : 0x7c00;
    std::memcpy(last + at, &infinity, 2);
    CHECK_FALSE(format->finite(blocks.data(), 3));
    CHECK(format->finite(blocks.data(), 2));
  }
  quant::q4_0::Block block{};
  for (std::uint8_t& code : block.codes) code = 0xff;
  CHECK(quant::q4_0::format.finite(reinterpret_cast<const std::byte*>(&block), 1));
}

TEST_CASE("Rounding to bfloat16 is to nearest even and keeps NaN", "[quant]") {
  const auto rounded = [](std::uint32_t bits) {
    return quant::to_bf16(std::bit_cast<float>(bits)).bits;
  };
  CHECK(rounded(0x3f808000) == 0x3f80);  // ties to even
  CHECK(rounded(0x3f818000) == 0x3f82);
  CHECK(rounded(0x3f808001) == 0x3f81);
  CHECK(rounded(0x7f7fffff) == 0x7f80);  // overflows to infinity
  CHECK(std::isnan(quant::to_float(quant::BF16{rounded(0x7f800001)})));
  CHECK(rounded(0xff800000) == 0xff80);
}

TEST_CASE("E4M3 rounds to the nearest of its numbers, ties to even", "[quant]") {
  using quant::E4M3;
  CHECK(to_float(E4M3{0x01}) == 0x1p-9f);
  CHECK(to_float(E4M3{0x08}) == 0x1p-6f);
  CHECK(to_float(E4M3{0x38}) == 1.0f);
  CHECK(to_float(E4M3{0x7e}) == 448.0f);
  CHECK(to_float(E4M3{0xc4}) == -3.0f);
  CHECK(std::isnan(to_float(E4M3{0x7f})));
  CHECK(std::isnan(to_float(E4M3{0xff})));
  CHECK(quant::to_e4m3(NAN).bits == 0x7f);
  CHECK(quant::to_e4m3(1e30f).bits == 0x7e);
  CHECK(quant::to_e4m3(-INFINITY).bits == 0xfe);
  for (int bits = 0; bits < 0x7e; ++bits) {
    const auto code = static_cast<std::uint8_t>(bits);
    CAPTURE(bits);
    const float value = to_float(E4M3{code}),
                next = to_float(E4M3{static_cast<std::uint8_t>(code + 1)});
    REQUIRE(value < next);
    CHECK(quant::to_e4m3(value).bits == code);
    CHECK(quant::to_e4m3(-value).bits == (code | 0x80));
    const float middle = (value + next) / 2;
    CHECK(quant::to_e4m3(middle).bits == (code % 2 == 0 ? code : code + 1));
    CHECK(quant::to_e4m3(std::nextafter(middle, 0.0f)).bits == code);
    CHECK(quant::to_e4m3(std::nextafter(middle, next)).bits == code + 1);
  }
}
