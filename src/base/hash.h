// MurmurHash3, the 128-bit variant for 64-bit machines (Austin Appleby, public domain, 2011). Tells
// files apart; it is no protection against somebody who wants two of them to collide.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace tyto {

using HashValue = std::array<std::uint64_t, 2>;

class Hash128 {
 public:
  explicit Hash128(std::uint32_t seed = 0) noexcept : low_(seed), high_(seed) {}

  void update(std::span<const std::byte> bytes) noexcept;
  void update(std::uint64_t value) noexcept;  // eight bytes, little-endian
  HashValue value() const noexcept;           // of everything so far
  std::string hex() const;                    // 32 lower-case digits

 private:
  static constexpr std::size_t kBlock = 16;
  void mix(const std::byte* block) noexcept;

  std::uint64_t low_, high_;
  std::uint64_t length_ = 0;
  std::array<std::byte, kBlock> tail_{};  // the last length_ % kBlock bytes
};

std::string hex(const HashValue& value);  // 32 lower-case digits

}  // namespace tyto
