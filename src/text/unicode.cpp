#include "src/text/unicode.h"

#include <algorithm>

namespace tyto::text {

CharClass class_beyond_tables(char32_t code) noexcept {
  if (code >= 0xE0000 && code < 0xE0200) {
    const int block = kClassBlock[804 + ((code >> 8) & 1)];
    return static_cast<CharClass>(kClassOf[block * 256 + static_cast<int>(code & 255)] - '0');
  }
  const bool private_use = code >= 0xF0000 && code < 0x110000 && (code & 0xFFFE) != 0xFFFE;
  return private_use ? CharClass::control : CharClass::other;
}

ShortText lower(char32_t code) noexcept {
  const LowerRange* end = kLower + kLowerCount;
  const LowerRange* range =
      std::partition_point(kLower, end, [&](const LowerRange& r) { return r.last < code; });
  const bool inside = range != end && code >= range->first &&
                      (code - range->first) % static_cast<char32_t>(range->step) == 0;
  ShortText text(inside ? static_cast<char32_t>(static_cast<int>(code) + range->delta) : code);
  if (code == 0x130) {
    text = ShortText('i');
    text.add(0x307);
  }
  return text;
}

// Hangul syllables decompose by arithmetic: Unicode 16, section 3.12.
static ShortText hangul_letters(char32_t code) noexcept {
  constexpr char32_t kVowels = 21, kTails = 28;
  const char32_t index = code - 0xAC00;
  ShortText text;
  text.add(0x1100 + index / (kVowels * kTails));
  text.add(0x1161 + index / kTails % kVowels);
  if (index % kTails != 0) text.add(0x11A7 + index % kTails);
  return text;
}

ShortText without_accents(char32_t code) noexcept {
  ShortText text;
  if (class_of(code) == CharClass::mark) return text;
  if (code >= 0xAC00 && code < 0xD7A4) return hangul_letters(code);
  const Bare* end = kBare + kBareCount;
  const Bare* bare = std::partition_point(kBare, end, [&](const Bare& b) { return b.code < code; });
  if (bare == end || bare->code != code) return ShortText(code);
  for (const char32_t part : bare->parts)
    if (part != 0) text.add(part);
  return text;
}

}  // namespace tyto::text
