// Memory of one attend call; compiled for any processor, since a plan says it on any machine.
#pragma once
#include <algorithm>
#include <cstddef>

#include "cpu/kernel_table.h"
#include "cpu/row_kernels.h"

namespace tyto::cpu {

// Query vectors of a call, in whole tiles.
constexpr std::size_t attend_vectors(int group) {
  return round_up(static_cast<std::size_t>(std::max(kQueryTile, group)), 16);
}

// Floats: the states of the split under way and of the splits before it.
constexpr std::size_t attend_state_bytes(std::size_t vectors, int value_dim) {
  const std::size_t stride = round_up(static_cast<std::size_t>(value_dim), 16);
  return round_up(vectors, 16) * (2 * stride + 16 + 3) * sizeof(float);
}

inline std::size_t attend_bytes(int group, int, int value_dim) noexcept {
  return attend_state_bytes(attend_vectors(group), value_dim);
}

// What attention in pairs keeps behind the states: offsets and strides in bytes.
//   queries  BF16 [vectors][query_stride]
//   keys     of a split, pairs: [kSplitKeys / 16] panels of [key_dim / 2][16 keys][2]
//   values   of a split, pairs: [value_dim / 16] panels of [kSplitKeys / 2][16 values][2]
//   scores   float [32][kSplitKeys], then the weights, BF16, where they begin
// Strides of rows that a tile takes together are odd numbers of cache lines.
struct TileMemory {
  std::size_t query_stride, key_stride, value_stride, score_stride;
  std::size_t queries, keys, values, scores, bytes;
};
constexpr TileMemory tile_memory(std::size_t vectors, int key_dim, int value_dim) {
  constexpr std::size_t kKeys = kSplitKeys;
  const std::size_t dims = round_up(static_cast<std::size_t>(key_dim), 32);
  const std::size_t columns = round_up(static_cast<std::size_t>(value_dim), 16);
  TileMemory m{};
  m.query_stride = odd_lines(dims * 2);
  m.key_stride = dims * 16 * 2;
  m.value_stride = odd_lines(kKeys * 16 * 2);
  m.score_stride = odd_lines(kKeys * sizeof(float));
  m.queries = round_up(attend_state_bytes(vectors, value_dim), 64);
  m.keys = m.queries + round_up(vectors, 16) * m.query_stride;
  m.values = m.keys + kKeys / 16 * m.key_stride;
  m.scores = m.values + columns / 16 * m.value_stride;
  m.bytes = m.scores + 32 * m.score_stride;
  return m;
}

inline std::size_t attend_pairs_bytes(int group, int key_dim, int value_dim) noexcept {
  return tile_memory(attend_vectors(group), key_dim, value_dim).bytes;
}

}  // namespace tyto::cpu
