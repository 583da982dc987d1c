// UTF-8, strictly: Unicode 16, table 3-7. No overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace tyto::text {

inline constexpr char32_t kNotUtf8 = 0xFFFFFFFF;

struct Utf8Char {
  char32_t code;     // kNotUtf8: this byte begins no character
  std::size_t size;  // bytes; 1 where the code is kNotUtf8
};

inline bool is_continuation(char byte) noexcept {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

// How many bytes the character that `lead` begins has; 0 if none begins so.
inline std::size_t utf8_size(unsigned char lead) noexcept {
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return 2;
  if (lead < 0xF0) return 3;
  return lead < 0xF5 ? 4 : 0;
}

// Whether `second` may follow `lead`, which begins a character of two bytes or more.
inline bool utf8_second(unsigned char lead, unsigned char second) noexcept {
  const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  return second >= low && second <= high;
}

// The character at `at`, which is inside the text.
inline Utf8Char utf8_char(std::string_view text, std::size_t at) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t size = utf8_size(lead);
  if (size == 0 || text.size() - at < size || !utf8_second(lead, byte(1))) return {kNotUtf8, 1};
  char32_t code = (lead & (0x7Fu >> size)) << 6 | (byte(1) & 0x3Fu);
  for (std::size_t i = 2; i < size; ++i) {
    if (!is_continuation(text[at + i])) return {kNotUtf8, 1};
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  return {code, size};
}

inline void append_utf8(std::string& text, char32_t code) {
  const auto put = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      put(0xE0 | code >> 12);
    } else {
      put(0xF0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3F));
    }
    put(0x80 | (code >> 6 & 0x3F));
  }
  put(0x80 | (code & 0x3F));
}

}  // namespace tyto::text
