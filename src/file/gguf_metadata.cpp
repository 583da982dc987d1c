#include "src/file/gguf_metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <type_traits>
#include <utility>

#include "src/base/error.h"
#include "src/file/quoted.h"

namespace tyto::file {
namespace {

std::string_view as_text(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string type_name(const GgufValue& value) {
  if (value.type != GgufType::array) return std::string(name(value.type));
  return fmt::format("{}[{}]", name(value.element), value.count);
}

// Calls with(value) for each element, as the type the file has it in. Only for types that are
// converted.
template <class With>
void for_each_element(const GgufValue& array, With&& with) {
  const auto all = [&]<class T>(T value) {
    for (std::uint64_t i = 0; i < array.count; ++i) {
      std::memcpy(&value, array.bytes.data() + i * sizeof(T), sizeof(T));
      with(value);
    }
  };
  switch (array.element) {
    case GgufType::u32:
      return all(std::uint32_t{});
    case GgufType::u64:
      return all(std::uint64_t{});
    case GgufType::i64:
      return all(std::int64_t{});
    default:
      return all(double{});
  }
}

// False where the conversion would lose the value, not merely its last digits.
template <class To, class From>
bool fits(From from) noexcept {
  if constexpr (std::is_integral_v<To> && std::is_integral_v<From>) return std::in_range<To>(from);
  const double value = static_cast<double>(from);
  return !std::isfinite(value) || std::abs(value) <= std::numeric_limits<To>::max();
}

}  // namespace

Result<std::unique_ptr<GgufMetadata>> GgufMetadata::create(std::string file,
                                                           std::vector<GgufEntry> entries) {
  std::unique_ptr<GgufMetadata> made(new GgufMetadata);
  made->file_ = std::move(file);
  made->entries_ = std::move(entries);
  const auto& all = made->entries_;
  made->by_key_.resize(all.size());
  std::iota(made->by_key_.begin(), made->by_key_.end(), 0u);
  std::sort(made->by_key_.begin(), made->by_key_.end(),
            [&](std::uint32_t a, std::uint32_t b) { return all[a].key < all[b].key; });
  const auto twin = std::adjacent_find(
      made->by_key_.begin(), made->by_key_.end(),
      [&](std::uint32_t a, std::uint32_t b) { return all[a].key == all[b].key; });
  if (twin != made->by_key_.end())
    return fail(ErrorCode::bad_file, "{}: key {} appears twice", made->file_,
                quoted(all[*twin].key));
  return made;
}

const GgufValue* GgufMetadata::find(std::string_view key) const noexcept {
  const auto at =
      std::lower_bound(by_key_.begin(), by_key_.end(), key,
                       [&](std::uint32_t i, std::string_view k) { return entries_[i].key < k; });
  return at != by_key_.end() && entries_[*at].key == key ? &entries_[*at].value : nullptr;
}

Result<const GgufValue*> GgufMetadata::get(std::string_view key) const {
  if (const GgufValue* value = find(key)) return value;
  return fail(ErrorCode::bad_file, "{}: key {} is missing", file_, quoted(key));
}

Result<const GgufValue*> GgufMetadata::get_array(std::string_view key,
                                                 std::string_view expected) const {
  TYTO_TRY(const GgufValue* value, get(key));
  if (value->type != GgufType::array) return mismatch(key, *value, expected);
  return value;
}

Error GgufMetadata::mismatch(std::string_view key, const GgufValue& value,
                             std::string_view expected) const {
  return fail(ErrorCode::bad_file, "{}: key {} is of type {}, expected {}", file_, quoted(key),
              type_name(value), expected);
}

Result<std::uint64_t> GgufMetadata::integer(std::string_view key) const {
  TYTO_TRY(const GgufValue* value, get(key));
  if (!is_integer(value->type)) return mismatch(key, *value, "an integer");
  if (is_signed(value->type) && static_cast<std::int64_t>(value->integer) < 0)
    return fail(ErrorCode::bad_file, "{}: key {} is {}, expected no negative value", file_,
                quoted(key), static_cast<std::int64_t>(value->integer));
  return value->integer;
}

Result<double> GgufMetadata::number(std::string_view key) const {
  TYTO_TRY(const GgufValue* value, get(key));
  if (is_signed(value->type)) return static_cast<double>(static_cast<std::int64_t>(value->integer));
  if (is_integer(value->type)) return static_cast<double>(value->integer);
  if (value->type != GgufType::f32 && value->type != GgufType::f64)
    return mismatch(key, *value, "a number");
  if (!std::isfinite(value->number))
    return fail(ErrorCode::bad_file, "{}: key {} is {}, expected a finite number", file_,
                quoted(key), value->number);
  return value->number;
}

Result<bool> GgufMetadata::flag(std::string_view key) const {
  TYTO_TRY(const GgufValue* value, get(key));
  if (value->type != GgufType::boolean) return mismatch(key, *value, "bool");
  return value->integer != 0;
}

Result<std::string_view> GgufMetadata::text(std::string_view key) const {
  TYTO_TRY(const GgufValue* value, get(key));
  if (value->type != GgufType::string) return mismatch(key, *value, "string");
  return as_text(value->bytes);
}

Result<TextArray> GgufMetadata::texts(std::string_view key) const {
  TYTO_TRY(const GgufValue* value, get_array(key, "an array of strings"));
  if (value->element != GgufType::string) return mismatch(key, *value, "an array of strings");
  return TextArray(as_text(value->bytes).data(), value->ends);
}

template <class To>
Result<std::span<const To>> GgufMetadata::converted(
    std::string_view key, const GgufValue& value,
    std::map<const GgufValue*, std::vector<To>>& cache) const {
  const std::lock_guard lock(mutex_);
  if (const auto known = cache.find(&value); known != cache.end())
    return std::span<const To>(known->second);
  std::vector<To> all;
  all.reserve(value.count);  // as many as the file had room for
  bool fit = true;
  for_each_element(value, [&](auto from) {
    fit = fit && fits<To>(from);
    if (fit) all.push_back(static_cast<To>(from));
  });
  if (!fit)
    return fail(ErrorCode::bad_file, "{}: element {} of key {} is out of range", file_, all.size(),
                quoted(key));
  return std::span<const To>(cache.emplace(&value, std::move(all)).first->second);
}

Result<std::span<const float>> GgufMetadata::numbers(std::string_view key) const {
  TYTO_TRY(const GgufValue* value, get_array(key, "an array of f32"));
  if (value->element == GgufType::f32)
    return std::span(reinterpret_cast<const float*>(value->bytes.data()), value->count);
  if (value->element != GgufType::f64) return mismatch(key, *value, "an array of f32");
  return converted<float>(key, *value, as_numbers_);
}

Result<std::span<const std::int32_t>> GgufMetadata::integers(std::string_view key) const {
  TYTO_TRY(const GgufValue* value, get_array(key, "an array of i32"));
  if (value->element == GgufType::i32)
    return std::span(reinterpret_cast<const std::int32_t*>(value->bytes.data()), value->count);
  if (!is_integer(value->element) || fixed_size(value->element) < sizeof(std::int32_t))
    return mismatch(key, *value, "an array of i32");
  return converted<std::int32_t>(key, *value, as_integers_);
}

}  // namespace tyto::file
