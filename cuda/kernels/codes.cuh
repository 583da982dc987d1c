// Computes  the codes of a unit, from and to the planes of matrix.h
// Shapes    32 codes; unpacked, value 4 i + b is byte b of word i
#pragma once
#include "cuda/matrix.h"
#include "cuda/prim.cuh"

namespace tyto::cuda {

template <int kBits>
struct Codes {
  static_assert(kBits == 4 || kBits == 5 || kBits == 6 || kBits == 8);
  static constexpr std::size_t kLowBytes = kBits == 8 ? 32 : 16;
  static constexpr std::size_t kHighBytes = kBits == 5 ? 4 : kBits == 6 ? 8 : 0;

  // codes: unsigned; those of 8 bits 128 too large.
  __device__ static void pack(const std::uint8_t* codes, std::byte* low, std::byte* high) {
    auto* const to = reinterpret_cast<std::uint8_t*>(low);
    auto* const top = reinterpret_cast<std::uint8_t*>(high);
    if constexpr (kBits == 8) {
      for (int i = 0; i < kUnit; ++i) to[i] = static_cast<std::uint8_t>(codes[i] - 128);
    } else {
      for (int i = 0; i < 16; ++i)
        to[i] = static_cast<std::uint8_t>((codes[i] & 15) | (codes[16 + i] & 15) << 4);
      if constexpr (kHighBytes > 0) memset(top, 0, kHighBytes);
      for (int i = 0; i < kUnit; ++i) {
        const int upper = codes[i] >> 4;
        if constexpr (kBits == 5) top[i / 8] |= static_cast<std::uint8_t>(upper << i % 8);
        if constexpr (kBits == 6)
          top[i / 16 * 4 + i % 4] |= static_cast<std::uint8_t>(upper << i % 16 / 4 * 2);
      }
    }
  }

  __device__ static void load_words(const std::byte* low, const std::byte* high, int (&words)[8]) {
    put(load<uint4>(low), words);
    if constexpr (kBits == 8) {
      put(load<uint4>(low + 16), words + 4);
    } else {
      for (int i = 0; i < 4; ++i) split(words[i], words[i], words[4 + i]);
      for (int i = 0; i < 4; ++i) add_high(high, i, words[i], words[4 + i]);
    }
  }
  // Words i and 4 + i.
  __device__ static void load_pair(const std::byte* low, const std::byte* high, int i, int& first,
                                   int& second) {
    first = load<int>(low + 4 * i);
    if constexpr (kBits == 8) {
      second = load<int>(low + 16 + 4 * i);
    } else {
      split(first, first, second);
      add_high(high, i, first, second);
    }
  }

  __device__ static int one(const std::byte* low, const std::byte* high, int i) {
    if constexpr (kBits == 8) {
      return static_cast<int>(static_cast<std::int8_t>(low[i]));
    } else {
      int code = static_cast<int>(low[i % 16]) >> i / 16 * 4 & 15;
      if constexpr (kBits == 5) code |= (static_cast<int>(high[i / 8]) >> i % 8 & 1) << 4;
      if constexpr (kBits == 6)
        code |= (static_cast<int>(high[i / 16 * 4 + i % 4]) >> i % 16 / 4 * 2 & 3) << 4;
      return code;
    }
  }

 private:
  __device__ static void split(int both, int& first, int& second) {
    constexpr int kNibbles = 0x0f0f0f0f;
    second = static_cast<int>(static_cast<unsigned>(both) >> 4) & kNibbles;
    first = both & kNibbles;
  }
  __device__ static void add_high(const std::byte* high, int i, int& first, int& second) {
    if constexpr (kBits == 5) {
      const auto bits = load<unsigned>(high);
      first |= fifth_bits(bits >> 4 * i);
      second |= fifth_bits(bits >> (16 + 4 * i));
    }
    if constexpr (kBits == 6) {
      const auto bits = load<uint2>(high);
      first |= static_cast<int>((bits.x >> 2 * i & 0x03030303u) << 4);
      second |= static_cast<int>((bits.y >> 2 * i & 0x03030303u) << 4);
    }
  }
  // Four bits, each to a byte of its own.
  __device__ static int fifth_bits(unsigned bits) {
    return static_cast<int>(((bits & 15u) * 0x00204081u & 0x01010101u) << 4);
  }
  __device__ static void put(uint4 v, int* words) {
    words[0] = static_cast<int>(v.x);
    words[1] = static_cast<int>(v.y);
    words[2] = static_cast<int>(v.z);
    words[3] = static_cast<int>(v.w);
  }
};

}  // namespace tyto::cuda
