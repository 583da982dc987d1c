// What the tokenizers must know of characters, from tables of our own: ids must not vary with a
// system's locale or its version of Unicode.
#pragma once
#include <array>
#include <string_view>

namespace tyto::text {

// Each code point has exactly one class. `space` is the White_Space property, `mark` is category
// Mn, `control` is Cc, Cf and Co without the white space, `other` is everything else: Mc, Me and
// what is not assigned.
enum class CharClass : unsigned char {
  other,
  letter,
  number,
  punctuation,
  symbol,
  mark,
  space,
  control
};

// Generated: unicode_classes.cpp, unicode_folding.cpp.
struct LowerRange {
  char32_t first, last;
  int step;   // 2: every other code point of the range
  int delta;  // to the lower case
};
struct Bare {
  char32_t code;
  char32_t parts[3];  // zeros at the end are not used
};
extern const unsigned char
    kClassBlock[806];  // planes 0 to 3 up to U+323FF, then U+E0000 and U+E0100
extern const char kClassOf[];
extern const LowerRange kLower[];
extern const int kLowerCount;
extern const Bare kBare[];
extern const int kBareCount;

CharClass class_beyond_tables(char32_t code) noexcept;

inline CharClass class_of(char32_t code) noexcept {
  if (code >= 0x32400) return class_beyond_tables(code);
  return static_cast<CharClass>(kClassOf[kClassBlock[code >> 8] * 256 + (code & 255)] - '0');
}

// Up to three characters.
struct ShortText {
  ShortText() = default;
  explicit ShortText(char32_t code) noexcept { add(code); }
  std::array<char32_t, 3> codes{};
  int count = 0;
  void add(char32_t code) noexcept { codes[static_cast<std::size_t>(count++)] = code; }
};

// The simple lower case; two characters for U+0130 alone.
ShortText lower(char32_t code) noexcept;
// The canonical decomposition (NFD of one code point) without nonspacing marks; empty for such a
// mark.
ShortText without_accents(char32_t code) noexcept;

}  // namespace tyto::text
