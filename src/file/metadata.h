// A model file's key-value pairs, typed and checked at each access: a value of another type than
// asked for is bad_file, and no accessor hands out raw bytes.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tyto/result.h"

namespace tyto::file {

// Strings of an array, stored back to back.
class TextArray {
 public:
  TextArray() = default;
  TextArray(const char* text, std::span<const std::uint64_t> ends) noexcept
      : text_(text), ends_(ends) {}
  std::size_t size() const noexcept { return ends_.size(); }
  std::string_view operator[](std::size_t i) const noexcept {
    const std::uint64_t begin = i == 0 ? 0 : ends_[i - 1];
    return {text_ + begin, static_cast<std::size_t>(ends_[i] - begin)};
  }

 private:
  const char* text_ = nullptr;
  std::span<const std::uint64_t> ends_;  // where each string ends in text_
};

// Immutable; views live as long as the Metadata. Errors name the file and the key.
class Metadata {
 public:
  virtual ~Metadata() = default;
  virtual bool has(std::string_view key) const noexcept = 0;
  // Any integer type whose value fits; a negative one is bad_file.
  virtual Result<std::uint64_t> integer(std::string_view key) const = 0;
  // Any floating-point or integer type. The value is finite.
  virtual Result<double> number(std::string_view key) const = 0;
  virtual Result<bool> flag(std::string_view key) const = 0;
  virtual Result<std::string_view> text(std::string_view key) const = 0;
  // Arrays. numbers: declared f32 or f64; integers: of 32 or 64 bits, whose values fit. Narrower
  // ones are data.
  virtual Result<TextArray> texts(std::string_view key) const = 0;
  virtual Result<std::span<const float>> numbers(std::string_view key) const = 0;
  virtual Result<std::span<const std::int32_t>> integers(std::string_view key) const = 0;

  // For people: every key in file order, and its value as short text (arrays: type, length, first
  // elements).
  virtual std::size_t size() const noexcept = 0;
  virtual std::string_view key(std::size_t i) const noexcept = 0;
  virtual std::string describe(std::size_t i) const = 0;

  // The value, or `otherwise` where the key is absent. A wrong type is still an error.
  Result<std::uint64_t> integer_or(std::string_view key, std::uint64_t otherwise) const;
  Result<double> number_or(std::string_view key, double otherwise) const;
  Result<bool> flag_or(std::string_view key, bool otherwise) const;
  Result<std::string_view> text_or(std::string_view key, std::string_view otherwise) const;
};

}  // namespace tyto::file
