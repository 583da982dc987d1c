#include "src/sample/rank.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

namespace tyto::sample {
namespace {

// Keys by sign, exponent and upper mantissa bits, so that a higher bucket holds higher keys.
constexpr int kBucketBits = 11;

std::uint32_t bucket(float key) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(key + 0.0f);  // -0 becomes 0
  const std::uint32_t flip = bits >> 31 != 0 ? ~std::uint32_t{0} : 0x80000000;
  return (bits ^ flip) >> (32 - kBucketBits);
}

// A weighted quickselect: halve by rank, go on in the half where the running sum reaches `mass`.
Ranked select_by_mass(std::span<Ranked> ranked, std::span<const float> weights, double mass) {
  while (ranked.size() > 1) {
    const std::size_t half = ranked.size() / 2;
    const auto middle = ranked.begin() + static_cast<std::ptrdiff_t>(half);
    std::nth_element(ranked.begin(), middle, ranked.end(), better);
    double upper = 0;
    for (const Ranked& entry : ranked.first(half)) upper += double{weights[entry.index]};
    const bool reached = upper >= mass;
    ranked = reached ? ranked.first(half) : ranked.subspan(half);
    if (!reached) mass -= upper;
  }
  return ranked.front();
}

}  // namespace

void select_best(std::span<const float> keys, std::size_t count, std::vector<Ranked>& best) {
  best.clear();
  if (count == 0) return;
  const std::size_t room = std::min(keys.size(), 2 * count + 64);
  best.reserve(room);
  const auto push = [&](std::size_t i) {
    best.push_back({keys[i], static_cast<std::uint32_t>(i)});
  };
  const auto cut_back = [&] {  // to the best `count`; the answer is the worst of them
    std::nth_element(best.begin(), best.begin() + static_cast<std::ptrdiff_t>(count - 1),
                     best.end(), better);
    best.resize(count);
    return best.back().key;
  };
  std::size_t i = 0;
  while (i < room) push(i++);
  if (best.size() <= count) return;
  float worst = cut_back();
  // Most keys are worse: they are passed over by blocks. An equal key with a higher index is worse,
  // too.
  constexpr std::size_t kBlock = 32;
  while (i < keys.size()) {
    const std::size_t end = std::min(i + kBlock, keys.size());
    std::uint32_t found = 0;
    for (std::size_t j = i; j < end; ++j) found |= keys[j] > worst ? 1 : 0;
    for (; found != 0 && i < end; ++i) {
      if (!(keys[i] > worst)) continue;
      if (best.size() == room) worst = cut_back();
      if (keys[i] > worst) push(i);
    }
    i = end;
  }
  cut_back();
}

Ranked mass_cut(std::span<const float> keys, std::span<const float> weights, double mass,
                std::vector<Ranked>& room) {
  std::array<double, 1 << kBucketBits> masses{};
  for (std::size_t i = 0; i < keys.size(); ++i) masses[bucket(keys[i])] += double{weights[i]};
  // The bucket in which the sum reaches `mass`, or the last one with any weight. No mass at all
  // would be reached at once.
  mass = std::max(mass, std::numeric_limits<double>::min());
  double reached = 0, above = 0;
  std::uint32_t last = 0;
  for (std::uint32_t b = 1 << kBucketBits; b-- > 0 && reached < mass;) {
    if (masses[b] == 0) continue;
    last = b;
    above = reached;
    reached += masses[b];
  }
  room.clear();
  room.reserve(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (bucket(keys[i]) == last) room.push_back({keys[i], static_cast<std::uint32_t>(i)});
  return select_by_mass(room, weights, mass - above);
}

}  // namespace tyto::sample
