// The shapes that graphs are captured for: a step runs in the smallest that holds it.
#pragma once
#include <algorithm>
#include <bit>
#include <vector>

#include "src/backend.h"

namespace tyto::cuda {

struct Bucket {
  int rows = 0, outputs = 0;
  friend bool operator==(const Bucket&, const Bucket&) = default;
};

// Powers of two and the capacity.
inline int rounded_up(int count, int most) {
  return std::min(static_cast<int>(std::bit_ceil(static_cast<unsigned>(std::max(count, 1)))), most);
}

// Outputs: one, or one of every row: a prompt wants its last, sessions that generate want all.
inline Bucket bucket_of(int rows, int outputs, const Capacity& capacity) {
  const int padded = rounded_up(rows, capacity.rows);
  return {padded, outputs <= 1 ? 1 : std::min(padded, capacity.outputs)};
}

// Every bucket there is, once.
inline std::vector<Bucket> all_buckets(const Capacity& capacity) {
  std::vector<Bucket> buckets;
  for (int rows = 1;; rows = rounded_up(rows + 1, capacity.rows)) {
    for (const int outputs : {1, 2}) {
      const Bucket bucket = bucket_of(rows, outputs, capacity);
      if (buckets.empty() || !(buckets.back() == bucket)) buckets.push_back(bucket);
    }
    if (rows == capacity.rows) return buckets;
  }
}

}  // namespace tyto::cuda
