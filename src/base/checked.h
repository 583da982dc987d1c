// The one type for sizes that come from a file: an overflow anywhere in an expression makes its
// result invalid. Plain integers do not mix with it: every operand is wrapped by hand, and the
// value comes out only through get().
#pragma once
#include <cstdint>
#include <limits>
#include <optional>

namespace tyto {

class Checked {
 public:
  constexpr explicit Checked(std::uint64_t value) noexcept : value_(value) {}

  constexpr bool valid() const noexcept { return valid_; }
  constexpr std::optional<std::uint64_t> get() const noexcept {
    return valid_ ? std::optional(value_) : std::nullopt;
  }

  friend constexpr Checked operator+(Checked a, Checked b) noexcept {
    return Checked(a.value_ + b.value_, a.valid_ && b.valid_ && a.value_ <= kMax - b.value_);
  }
  friend constexpr Checked operator-(Checked a, Checked b) noexcept {
    return Checked(a.value_ - b.value_, a.valid_ && b.valid_ && a.value_ >= b.value_);
  }
  friend constexpr Checked operator*(Checked a, Checked b) noexcept {
    return Checked(a.value_ * b.value_,
                   a.valid_ && b.valid_ && (b.value_ == 0 || a.value_ <= kMax / b.value_));
  }
  // Exact division only: a remainder, or a zero divisor, is invalid.
  friend constexpr Checked operator/(Checked a, Checked b) noexcept {
    if (b.value_ == 0 || a.value_ % b.value_ != 0) return Checked(0, false);
    return Checked(a.value_ / b.value_, a.valid_ && b.valid_);
  }
  // Up to a multiple of `alignment`, a power of two.
  constexpr Checked rounded_up(std::uint64_t alignment) const noexcept {
    const Checked sum = *this + Checked(alignment - 1);
    return Checked(sum.value_ & ~(alignment - 1), sum.valid_);
  }
  // True only for two valid values.
  friend constexpr bool operator<=(Checked a, Checked b) noexcept {
    return a.valid_ && b.valid_ && a.value_ <= b.value_;
  }

 private:
  static constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  constexpr Checked(std::uint64_t value, bool valid) noexcept : value_(value), valid_(valid) {}

  std::uint64_t value_;
  bool valid_ = true;
};

}  // namespace tyto
