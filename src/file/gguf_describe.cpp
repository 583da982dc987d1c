// Metadata for people, and for the fingerprint.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "src/file/gguf_metadata.h"
#include "src/file/quoted.h"

namespace tyto::file {
namespace {

constexpr std::uint64_t kElementsShown = 4;

std::string_view as_text(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <class T>
std::string element_text(const GgufValue& array, std::uint64_t i) {
  T value;
  std::memcpy(&value, array.bytes.data() + i * sizeof(T), sizeof(T));
  return fmt::format("{}", value);
}

std::string element_text(const GgufValue& array, std::uint64_t i) {
  switch (array.element) {
    case GgufType::u8:
      return element_text<std::uint8_t>(array, i);
    case GgufType::i8:
      return element_text<std::int8_t>(array, i);
    case GgufType::u16:
      return element_text<std::uint16_t>(array, i);
    case GgufType::i16:
      return element_text<std::int16_t>(array, i);
    case GgufType::u32:
      return element_text<std::uint32_t>(array, i);
    case GgufType::i32:
      return element_text<std::int32_t>(array, i);
    case GgufType::u64:
      return element_text<std::uint64_t>(array, i);
    case GgufType::i64:
      return element_text<std::int64_t>(array, i);
    case GgufType::f32:
      return element_text<float>(array, i);
    case GgufType::f64:
      return element_text<double>(array, i);
    case GgufType::boolean:
      return array.bytes[i] == std::byte{0} ? "false" : "true";
    case GgufType::string:
      return quoted(TextArray(as_text(array.bytes).data(), array.ends)[static_cast<std::size_t>(i)],
                    24);
    case GgufType::array:
      return "[...]";
  }
  return {};
}

std::string array_text(const GgufValue& array) {
  std::string result = fmt::format("{}[{}]", name(array.element), array.count);
  const std::uint64_t shown = std::min(kElementsShown, array.count);
  for (std::uint64_t i = 0; i < shown; ++i)
    fmt::format_to(std::back_inserter(result), "{}{}", i == 0 ? " " : ", ", element_text(array, i));
  if (shown < array.count) result += ", ...";
  return result;
}

}  // namespace

std::string GgufMetadata::describe(std::size_t i) const {
  const GgufValue& value = entries_[i].value;
  switch (value.type) {
    case GgufType::string:
      return quoted(as_text(value.bytes));
    case GgufType::array:
      return array_text(value);
    case GgufType::boolean:
      return value.integer == 0 ? "false" : "true";
    case GgufType::f32:
      return fmt::format("{}", static_cast<float>(value.number));
    case GgufType::f64:
      return fmt::format("{}", value.number);
    default:
      break;
  }
  if (is_signed(value.type)) return fmt::format("{}", static_cast<std::int64_t>(value.integer));
  return fmt::format("{}", value.integer);
}

void GgufMetadata::hash_into(Hash128& hash) const {
  const auto add_bytes = [&](std::span<const std::byte> bytes) {
    hash.update(std::uint64_t{bytes.size()});  // so that no two lists of strings run together
    hash.update(bytes);
  };
  hash.update(std::uint64_t{entries_.size()});
  for (const auto& [key, value] : entries_) {
    add_bytes(std::as_bytes(std::span(key)));
    hash.update(static_cast<std::uint64_t>(value.type));
    hash.update(value.integer);
    hash.update(std::as_bytes(std::span(&value.number, 1)));
    hash.update(static_cast<std::uint64_t>(value.element));
    hash.update(value.count);
    add_bytes(value.bytes);
    add_bytes(std::as_bytes(std::span(value.ends)));
  }
}

}  // namespace tyto::file
