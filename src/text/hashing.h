// Hash tables for vocabularies. A file's author knows this code, so every vocabulary hashes with a
// seed of its own.
#pragma once
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace tyto::text {

inline std::uint64_t scramble(std::uint64_t x) noexcept {
  x *= 0x9E3779B97F4A7C15u;
  return x ^ x >> 32;
}

struct TextKey {
  static constexpr std::size_t kWhole =
      8;  // of a text up to this long, `last` and the size say everything
  std::uint64_t hash;
  std::uint64_t last;  // made of the last bytes, up to eight
};

inline TextKey text_key(std::string_view text, std::uint64_t seed) noexcept {
  const char* p = text.data();
  std::size_t left = text.size();
  std::uint64_t hash = seed ^ left;
  for (; left > 8; left -= 8, p += 8) {
    std::uint64_t word;
    std::memcpy(&word, p, 8);
    hash = scramble(hash ^ word);
  }
  std::uint64_t last = 0;
  if (left >= 4) {  // two halves, which may overlap
    std::uint32_t head, tail;
    std::memcpy(&head, p, 4);
    std::memcpy(&tail, p + left - 4, 4);
    last = head | std::uint64_t{tail} << 32;
  } else if (left > 0) {
    const auto byte = [&](std::size_t i) {
      return std::uint64_t{static_cast<unsigned char>(p[i])};
    };
    last = byte(0) | byte(left / 2) << 8 | byte(left - 1) << 16;
  }
  return {scramble(scramble(hash ^ last)), last};
}

// Not secret, but not in the file either.
inline std::uint64_t table_seed(const void* where) noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  return scramble(static_cast<std::uint64_t>(now) ^ reinterpret_cast<std::uintptr_t>(where));
}

// A number for each pair of numbers, none by default.
class PairMap {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  // Room for `pairs` pairs, and no more.
  void reserve(std::size_t pairs, std::uint64_t seed) {
    seed_ = seed;
    slots_.assign(std::bit_ceil(pairs + pairs / 2 + 1), Slot{});
  }
  // False, and nothing changes, where the pair has a value already.
  bool insert(std::uint32_t a, std::uint32_t b, std::uint32_t value) noexcept {
    Slot& slot = slots_[place(a, b)];
    if (slot.value != kNone) return false;
    slot = {a, b, value};
    return true;
  }
  std::uint32_t find(std::uint32_t a, std::uint32_t b) const noexcept {
    return slots_[place(a, b)].value;
  }
  std::uint64_t memory_bytes() const noexcept { return slots_.capacity() * sizeof(Slot); }

 private:
  struct Slot {
    std::uint32_t a = 0, b = 0, value = kNone;
  };
  // Where the pair is, or the free slot where it would go.
  std::size_t place(std::uint32_t a, std::uint32_t b) const noexcept {
    const std::size_t mask = slots_.size() - 1;
    std::size_t i = scramble(scramble((std::uint64_t{a} << 32 | b) ^ seed_)) & mask;
    while (slots_[i].value != kNone && (slots_[i].a != a || slots_[i].b != b)) i = (i + 1) & mask;
    return i;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(1);
  std::uint64_t seed_ = 0;
};

}  // namespace tyto::text
