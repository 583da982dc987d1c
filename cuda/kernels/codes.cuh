// Computes  the codes of a unit, from and to the planes of matrix.h
// Shapes    32 codes; unpacked, value 4 i + b is byte b of word i
#pragma once
#include <cstring>

#include "cuda/matrix.h"
#include "cuda/prim.cuh"

namespace tyto::cuda {

template <int kBits>
struct Codes {
  static_assert(kBits == 4 || kBits == 5 || kBits == 6 || kBits == 8);
  static constexpr std::size_t kLowBytes = kBits == 8 ? 32 : 16;
  static constexpr std::size_t kHighBytes = kBits == 5 ? 4 : kBits == 6 ? 8 : 0;

  // codes: unsigned; those of 8 bits 128 too large.
  static void pack(const std::uint8_t* codes, std::byte* low, std::byte* high) {
    if constexpr (kBits == 8) {
      for (int i = 0; i < kUnit; ++i) low[i] = static_cast<std::byte>(codes[i] - 128);
    } else {
      for (int i = 0; i < 16; ++i)
        low[i] = static_cast<std::byte>((codes[i] & 15) | (codes[16 + i] & 15) << 4);
      std::memset(high, 0, kHighBytes);
      for (int i = 0; i < kUnit; ++i) {
        if constexpr (kBits == 5) high[i / 8] |= static_cast<std::byte>(codes[i] >> 4 << i % 8);
        if constexpr (kBits == 6)
          high[i / 16 * 4 + i % 4] |= static_cast<std::byte>(codes[i] >> 4 << i % 16 / 4 * 2);
      }
    }
  }

  __device__ static void load_words(const std::byte* low, const std::byte* high, int (&words)[8]) {
    if constexpr (kBits == 8) {
      put(load<uint4>(low), words);
      put(load<uint4>(low + 16), words + 4);
    } else {
      constexpr int kNibbles = 0x0f0f0f0f;
      put(load<uint4>(low), words);
      for (int j = 0; j < 4; ++j) {
        words[4 + j] = static_cast<int>(static_cast<unsigned>(words[j]) >> 4) & kNibbles;
        words[j] &= kNibbles;
      }
    }
    if constexpr (kBits == 5) {
      const auto bits = load<unsigned>(high);
      for (int j = 0; j < 8; ++j)  // four bits, each to a byte of its own
        words[j] |= static_cast<int>(((bits >> 4 * j & 15u) * 0x00204081u & 0x01010101u) << 4);
    }
    if constexpr (kBits == 6) {
      const auto bits = load<uint2>(high);
      for (int j = 0; j < 8; ++j)
        words[j] |= static_cast<int>(((j < 4 ? bits.x : bits.y) >> j % 4 * 2 & 0x03030303u) << 4);
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
  __device__ static void put(uint4 v, int* words) {
    words[0] = static_cast<int>(v.x);
    words[1] = static_cast<int>(v.y);
    words[2] = static_cast<int>(v.z);
    words[3] = static_cast<int>(v.w);
  }
};

}  // namespace tyto::cuda
