#include "src/base/hash.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace tyto {
namespace {

constexpr std::uint64_t kC1 = 0x87c37b91114253d5, kC2 = 0x4cf5ad432745937f;

std::uint64_t scramble_low(std::uint64_t k) noexcept { return std::rotl(k * kC1, 31) * kC2; }
std::uint64_t scramble_high(std::uint64_t k) noexcept { return std::rotl(k * kC2, 33) * kC1; }

std::uint64_t finalize(std::uint64_t k) noexcept {
  k = (k ^ (k >> 33)) * 0xff51afd7ed558ccd;
  k = (k ^ (k >> 33)) * 0xc4ceb9fe1a85ec53;
  return k ^ (k >> 33);
}

std::uint64_t load(const std::byte* bytes) noexcept {
  std::uint64_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

}  // namespace

void Hash128::mix(const std::byte* block) noexcept {
  low_ ^= scramble_low(load(block));
  low_ = (std::rotl(low_, 27) + high_) * 5 + 0x52dce729;
  high_ ^= scramble_high(load(block + 8));
  high_ = (std::rotl(high_, 31) + low_) * 5 + 0x38495ab5;
}

void Hash128::update(std::span<const std::byte> bytes) noexcept {
  const std::size_t kept = length_ % kBlock;
  length_ += bytes.size();
  if (kept != 0) {
    const std::size_t taken = std::min(kBlock - kept, bytes.size());
    std::copy_n(bytes.begin(), taken, tail_.begin() + kept);
    if (kept + taken < kBlock) return;
    mix(tail_.data());
    bytes = bytes.subspan(taken);
  }
  for (; bytes.size() >= kBlock; bytes = bytes.subspan(kBlock)) mix(bytes.data());
  std::copy(bytes.begin(), bytes.end(), tail_.begin());
}

void Hash128::update(std::uint64_t value) noexcept { update(std::as_bytes(std::span(&value, 1))); }

HashValue Hash128::value() const noexcept {
  std::array<std::byte, kBlock> rest{};
  std::copy_n(tail_.begin(), length_ % kBlock, rest.begin());
  std::uint64_t low = low_ ^ scramble_low(load(rest.data())) ^ length_;
  std::uint64_t high = high_ ^ scramble_high(load(rest.data() + 8)) ^ length_;
  low += high;
  high += low;
  low = finalize(low);
  high = finalize(high);
  low += high;
  high += low;
  return {low, high};
}

std::string Hash128::hex() const { return tyto::hex(value()); }

std::string hex(const HashValue& value) {
  return fmt::format("{:016x}{:016x}", value[0], value[1]);
}

}  // namespace tyto
