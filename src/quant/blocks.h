// What the definitions of the weight formats share: 16-bit floats, and the two kinds of block. A
// format's Block is its struct in the file and says how to unpack codes; everything else
// (dequantize, packing, kernels) is written once over:
//   simple block   32 values: d * (code - kOffset), or d * code + m where the block has an `m`
//   super-block    256 values in sub-blocks, each with an integer scale (and minimum) of its own:
//                  d * scale * (code - kOffset), or d * scale * code - dmin * min where the block
//                  has a `dmin`
#pragma once
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

// Blocks are unpacked on other devices, too.
#ifdef __CUDACC__
#define TYTO_EVERYWHERE __host__ __device__
#else
#define TYTO_EVERYWHERE
#endif

namespace tyto::quant {

// IEEE 754 half precision, as stored.
struct F16 {
  std::uint16_t bits;
};

struct BF16 {  // the upper half of a float
  std::uint16_t bits;
};

inline float to_float(float value) noexcept { return value; }

inline float to_float(BF16 value) noexcept {
  return std::bit_cast<float>(std::uint32_t{value.bits} << 16);
}

// Subnormal halves are made by a subtraction of normal floats, which a host's flush-to-zero leaves
// alone.
inline float to_float(F16 value) noexcept {
  const std::uint32_t sign = (value.bits & 0x8000u) << 16, magnitude = value.bits & 0x7fffu;
  std::uint32_t result = (magnitude << 13) + ((127u - 15u) << 23);
  if (magnitude < 0x0400u)  // magnitude * 2^-24
    result = std::bit_cast<std::uint32_t>(std::bit_cast<float>(0x3f000000u | magnitude) - 0.5f);
  else if (magnitude >= 0x7c00u)  // infinity, NaN
    result = magnitude << 13 | 0x7f800000u;
  return std::bit_cast<float>(result | sign);
}

// Rounds to nearest, ties to even. NaN stays NaN.
inline BF16 to_bf16(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>(bits >> 16 | 0x40u)};
  return {static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

// The same. A subnormal result is rounded by the addition of a half, whose last bit is 2^-24.
inline F16 to_f16(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value), sign = bits >> 16 & 0x8000u;
  std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)  // NaN
    magnitude = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  else if (magnitude >= 0x47800000u)  // 65536 and more
    magnitude = 0x7c00u;
  else if (magnitude < 0x38800000u)  // below 2^-14
    magnitude = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  else
    magnitude = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  return {static_cast<std::uint16_t>(sign | magnitude)};
}

// A number, wherever it lies.
template <class Value>
Value load_block(const std::byte* values, std::size_t index) noexcept {
  Value value;
  std::memcpy(&value, values + index * sizeof(Value), sizeof(Value));
  return value;
}

// A block where it lies, at an even address. Not a copy: loading codes from one that was just
// stored in other pieces stalls.
template <class Block>
const Block& block_at(const std::byte* blocks, std::size_t index) noexcept {
  static_assert(alignof(Block) <= 2);
  return reinterpret_cast<const Block*>(blocks)[index];
}

// The low nibbles of `count` bytes, then the high nibbles.
TYTO_EVERYWHERE inline void unpack_nibbles(const std::uint8_t* bytes, int count,
                                           std::uint8_t* out) noexcept {
  for (int i = 0; i < count; ++i) {
    out[i] = bytes[i] & 15;
    out[count + i] = bytes[i] >> 4;
  }
}

// Adds 16 to those of `codes`, eight to a byte of `bits`, whose bit is set.
TYTO_EVERYWHERE inline void add_fifth_bits(const std::uint8_t* bits, int count,
                                           std::uint8_t* codes) noexcept {
  for (int i = 0; i < count / 8; ++i) {
    // Byte j keeps bit j alone; then its highest bit says whether it is not zero.
    const std::uint64_t own = bits[i] * 0x0101010101010101u & 0x8040201008040201u;
    const std::uint64_t fifth = ((own + 0x7f7f7f7f7f7f7f7fu) & 0x8080808080808080u) >> 3;
    std::uint64_t eight;
    std::memcpy(&eight, codes + i * 8, 8);
    eight |= fifth;
    std::memcpy(codes + i * 8, &eight, 8);
  }
}

// The 6-bit scales and minimums of Q4_K and Q5_K, 12 bytes: the low six bits of bytes 0-3 and 4-7
// are scales and minimums 0-3; bytes 8-11 hold the low nibbles of those of 4-7, whose upper two
// bits top bytes 0-7.
struct SubScales {
  std::uint8_t scale[8], min[8];
};
inline SubScales unpack_sub_scales(const std::uint8_t (&packed)[12]) noexcept {
  SubScales sub;
  for (int i = 0; i < 4; ++i) {
    sub.scale[i] = packed[i] & 63;
    sub.min[i] = packed[4 + i] & 63;
    sub.scale[4 + i] = static_cast<std::uint8_t>((packed[8 + i] & 15) | (packed[i] >> 6) << 4);
    sub.min[4 + i] = static_cast<std::uint8_t>(packed[8 + i] >> 4 | (packed[4 + i] >> 6) << 4);
  }
  return sub;
}

template <class Block>
inline constexpr bool kHasMinimum = requires(Block block) {
  block.m;
}
|| requires(Block block) { block.dmin; };
template <class Block>
inline constexpr bool kIsSuperBlock = Block::kValues == 256;

// The exact definitions, in float32, multiplication and addition rounded apart; from codes and
// scales, which is what a packed layout can give back too.
template <class Block>
void dequantize_simple(const std::uint8_t* codes, float d, float m, float* values) noexcept {
  for (int i = 0; i < Block::kValues; ++i) {
    if constexpr (kHasMinimum<Block>)
      values[i] = d * static_cast<float>(codes[i]) + m;
    else
      values[i] = d * static_cast<float>(codes[i] - Block::kOffset);
  }
}

inline void dequantize_super(const std::uint8_t* codes, const SubScales& sub, float d, float dmin,
                             float* values) noexcept {
  for (int i = 0; i < 256; ++i)
    values[i] = d * sub.scale[i / 32] * static_cast<float>(codes[i]) - dmin * sub.min[i / 32];
}

inline void dequantize_super(const std::uint8_t* codes, const std::int8_t* sub_scales, int offset,
                             float d, float* values) noexcept {
  for (int i = 0; i < 256; ++i)
    values[i] = d * sub_scales[i / 16] * static_cast<float>(codes[i] - offset);
}

template <class Block>
void dequantize_block(const Block& block, float* values) noexcept {
  std::uint8_t codes[Block::kValues];
  block.unpack(codes);
  const float d = to_float(block.d);
  if constexpr (!kIsSuperBlock<Block> && kHasMinimum<Block>)
    dequantize_simple<Block>(codes, d, to_float(block.m), values);
  else if constexpr (!kIsSuperBlock<Block>)
    dequantize_simple<Block>(codes, d, 0, values);
  else if constexpr (kHasMinimum<Block>)
    dequantize_super(codes, unpack_sub_scales(block.sub_scales), d, to_float(block.dmin), values);
  else
    dequantize_super(codes, block.sub_scales, Block::kOffset, d, values);
}

template <class Block>
void dequantize_blocks(const std::byte* blocks, std::size_t count, float* values) {
  for (std::size_t i = 0; i < count; ++i)
    dequantize_block(block_at<Block>(blocks, i), values + i * Block::kValues);
}

// Neither infinite nor NaN: not all bits of the exponent are set.
inline bool is_finite(float value) noexcept {
  return (std::bit_cast<std::uint32_t>(value) & 0x7f800000u) != 0x7f800000u;
}
TYTO_EVERYWHERE inline bool is_finite(F16 value) noexcept {
  return (value.bits & 0x7c00u) != 0x7c00u;
}
inline bool is_finite(BF16 value) noexcept { return (value.bits & 0x7f80u) != 0x7f80u; }

template <class Block>
bool finite_blocks(const std::byte* blocks, std::size_t count) {
  unsigned bad = 0;  // no early end: that would be slower
  for (std::size_t i = 0; i < count; ++i) {
    const Block& block = block_at<Block>(blocks, i);
    bad |= !is_finite(block.d);
    if constexpr (requires { block.m; }) bad |= !is_finite(block.m);
    if constexpr (requires { block.dmin; }) bad |= !is_finite(block.dmin);
  }
  return bad == 0;
}

// Float formats: a block is one value.
template <class Value>
void dequantize_floats(const std::byte* blocks, std::size_t count, float* values) {
  for (std::size_t i = 0; i < count; ++i) values[i] = to_float(load_block<Value>(blocks, i));
}

template <class Value>
bool finite_floats(const std::byte* blocks, std::size_t count) {
  unsigned bad = 0;
  for (std::size_t i = 0; i < count; ++i) bad |= !is_finite(load_block<Value>(blocks, i));
  return bad == 0;
}

}  // namespace tyto::quant
