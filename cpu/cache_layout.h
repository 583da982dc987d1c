// How one (layer, kv head) part of a cache page lies in memory: keys and values of kPageTokens
// tokens. Plain types:
//   keys          [key_dim][kPageTokens]  transposed: one row is 16 keys' values of one dimension
//   values        [kPageTokens][value_dim]
// Quantized types, with dimensions rounded up to whole groups of kCacheGroup:
//   keys          codes, q8_0: int8 [key_dim][kPageTokens]; q4_0: nibbles, dimensions 2i (low) and
//                 2i + 1 in row i of [key_dim / 2][kPageTokens]
//   key scales    float [key_dim / kCacheGroup][kPageTokens]
//   values        codes, q8_0: int8 [kPageTokens][value_dim]; q4_0: nibbles, values i (low) and
//                 i + 16 of a group in byte i of [kPageTokens][value_dim / kCacheGroup][16]
//   value scales  float [kPageTokens][value_dim / kCacheGroup]
// A value is code * scale; a nibble's code is its number - 8. Zero scales are zero values.
#pragma once
#include <cstddef>

#include "src/backend.h"

namespace tyto::cpu {

inline constexpr int kCacheTypes = 5;   // indexed by CacheType
inline constexpr int kCacheGroup = 32;  // values of a token that share a scale

constexpr bool is_quantized(CacheType type) {
  return type == CacheType::q8_0 || type == CacheType::q4_0;
}
constexpr int cache_bits(CacheType type) {
  switch (type) {
    case CacheType::f32:
      return 32;
    case CacheType::q8_0:
      return 8;
    case CacheType::q4_0:
      return 4;
    default:
      return 16;
  }
}

// Byte offsets of the sections that follow the keys.
struct PartLayout {
  std::size_t key_groups, value_groups;  // 0 for plain types
  std::size_t key_scales, values, value_scales, bytes;
};
constexpr PartLayout part_layout(CacheType type, int key_dim, int value_dim) {
  const auto bits = static_cast<std::size_t>(cache_bits(type));
  auto keys = static_cast<std::size_t>(key_dim), values = static_cast<std::size_t>(value_dim);
  PartLayout part{};
  if (is_quantized(type)) {
    part.key_groups = (keys + kCacheGroup - 1) / kCacheGroup;
    part.value_groups = (values + kCacheGroup - 1) / kCacheGroup;
    keys = part.key_groups * kCacheGroup;
    values = part.value_groups * kCacheGroup;
  }
  part.key_scales = keys * kPageTokens * bits / 8;
  part.values = part.key_scales + part.key_groups * kPageTokens * sizeof(float);
  part.value_scales = part.values + values * kPageTokens * bits / 8;
  part.bytes = part.value_scales + part.value_groups * kPageTokens * sizeof(float);
  return part;
}

}  // namespace tyto::cpu
