// Finding the best of many without sorting them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tyto::sample {

struct Ranked {
  float key;  // never NaN
  std::uint32_t index;
};
inline constexpr std::uint32_t kNoIndex = 0xffffffff;  // after all others

// The total order of rankings: higher keys first, lower indices among equals.
constexpr bool better(const Ranked& a, const Ranked& b) noexcept {
  return a.key != b.key ? a.key > b.key : a.index < b.index;
}

// Sets `best` to the best `count` of `keys`, in no particular order; all of them where there are
// not more. One pass, whatever the order of the keys; `best` never holds more than 2 * count + 64
// entries.
void select_best(std::span<const float> keys, std::size_t count, std::vector<Ranked>& best);

// The last of the shortest run of keys, best first, whose weights add up to at least `mass`; the
// worst of all where they never do. Two passes. There is at least one key; `room` is for work.
Ranked mass_cut(std::span<const float> keys, std::span<const float> weights, double mass,
                std::vector<Ranked>& room);

}  // namespace tyto::sample
