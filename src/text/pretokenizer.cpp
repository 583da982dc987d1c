#include "src/text/pretokenizer.h"

#include "src/text/unicode.h"
#include "src/text/utf8.h"

namespace tyto::text {
namespace {

constexpr unsigned mask(CharClass c) { return 1u << static_cast<unsigned>(c); }
constexpr unsigned kLetter = mask(CharClass::letter), kNumber = mask(CharClass::number),
                   kSpace = mask(CharClass::space), kPunctuation = mask(CharClass::punctuation),
                   kWord = ~(kSpace | kLetter | kNumber);  // [^\s\p{L}\p{N}]

// A byte that is not UTF-8 is of class `other`.
struct ClassedChar {
  unsigned classes;  // one bit; none at the end of the text
  std::size_t size;
};

inline ClassedChar class_at(std::string_view text, std::size_t at) noexcept {
  if (at >= text.size()) return {0, 0};
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80) return {mask(class_of(byte)), 1};
  const Utf8Char c = utf8_char(text, at);
  return {c.code == kNotUtf8 ? mask(CharClass::other) : mask(class_of(c.code)), c.size};
}

// The end of the run of characters of these classes.
template <unsigned kClasses>
inline std::size_t skip(std::string_view text, std::size_t at) noexcept {
  for (;;) {
    const ClassedChar c = class_at(text, at);
    if ((c.classes & kClasses) == 0) return at;
    at += c.size;
  }
}

inline bool is_newline(char c) noexcept { return c == '\r' || c == '\n'; }

inline std::size_t skip_newlines(std::string_view text, std::size_t at) noexcept {
  while (at < text.size() && is_newline(text[at])) ++at;
  return at;
}

// 's|'t|'re|'ve|'m|'ll|'d, after the apostrophe: the end of the match, or `at`.
std::size_t contraction_tail(std::string_view text, std::size_t at) noexcept {
  const auto letter = [&](std::size_t i) { return i < text.size() ? text[i] : '\0'; };
  switch (letter(at)) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return at + 1;
    case 'r':
    case 'v':
      return letter(at + 1) == 'e' ? at + 2 : at;
    case 'l':
      return letter(at + 1) == 'l' ? at + 2 : at;
    default:
      return at;
  }
}

// The same in any case. U+017F, the long s, folds to s.
std::size_t any_case_contraction_tail(std::string_view text, std::size_t at) noexcept {
  char folded[2] = {};
  for (std::size_t i = 0; i < 2 && at + i < text.size(); ++i) {
    const char c = text[at + i];
    folded[i] = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  }
  if (text.substr(at).starts_with("\xC5\xBF")) return at + 2;
  return at + contraction_tail({folded, 2}, 0);
}

// \s+(?!\S)|\s+ where a run of white space is text[begin, end): its last character belongs to what
// follows, unless it is the only one or nothing follows.
std::size_t cut_spaces(std::string_view text, std::size_t begin, std::size_t end) noexcept {
  if (end == text.size()) return end;
  std::size_t last = end - 1;
  while (is_continuation(text[last])) --last;
  return last > begin ? last : end;
}

// GPT-2 (github.com/openai/gpt-2, encoder.py):
// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
std::size_t gpt2(std::string_view text, std::size_t begin) {
  if (text[begin] == '\'') {
    const std::size_t end = contraction_tail(text, begin + 1);
    if (end > begin + 1) return end;
  }
  const std::size_t at = text[begin] == ' ' ? begin + 1 : begin;
  const ClassedChar c = class_at(text, at);
  if (c.classes & kLetter) return skip<kLetter>(text, at + c.size);
  if (c.classes & kNumber) return skip<kNumber>(text, at + c.size);
  if (c.classes & kWord) return skip<kWord>(text, at + c.size);
  return cut_spaces(text, begin, skip<kSpace>(text, at));
}

// Llama 3 (kDigits 3) and Qwen 2 (kDigits 1), from their tokenizer.json:
// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
template <int kDigits>
std::size_t llama3(std::string_view text, std::size_t begin) {
  if (text[begin] == '\'') {
    const std::size_t end = any_case_contraction_tail(text, begin + 1);
    if (end > begin + 1) return end;
  }
  const ClassedChar first = class_at(text, begin);
  if (first.classes & kLetter) return skip<kLetter>(text, begin + first.size);
  if (first.classes & kNumber) {
    std::size_t end = begin + first.size;
    for (int digits = 1; digits < kDigits; ++digits) {
      const ClassedChar c = class_at(text, end);
      if (c.classes & kNumber) end += c.size;
    }
    return end;
  }
  const std::size_t next = begin + first.size;
  if (!is_newline(text[begin]) && (class_at(text, next).classes & kLetter))
    return skip<kLetter>(text, next);
  const std::size_t word = text[begin] == ' ' ? next : begin;
  const std::size_t word_end = skip<kWord>(text, word);
  if (word_end > word) return skip_newlines(text, word_end);
  const std::size_t end = skip<kSpace>(text, begin);
  for (std::size_t last = end; last > begin; --last)
    if (is_newline(text[last - 1])) return last;
  return cut_spaces(text, begin, end);
}

// The end of a match at `begin`, or `begin`.
using Matcher = std::size_t (*)(std::string_view, std::size_t);

template <Matcher kMatch>
std::size_t match_or_gap(std::string_view text, std::size_t begin) {
  std::size_t end = kMatch(text, begin);
  if (end > begin) return end;
  do {
    end += class_at(text, end).size;
  } while (end < text.size() && kMatch(text, end) == end);
  return end;
}

std::size_t newline(std::string_view text, std::size_t at) {
  return is_newline(text[at]) ? at + 1 : at;
}

std::size_t number(std::string_view text, std::size_t at) {
  const ClassedChar c = class_at(text, at);
  return c.classes & kNumber ? at + c.size : at;
}

std::size_t numbers(std::string_view text, std::size_t at) { return skip<kNumber>(text, at); }

// \s?[class]+
template <unsigned kClasses>
std::size_t spaced(std::string_view text, std::size_t at) {
  const ClassedChar c = class_at(text, at);
  const std::size_t begin = c.classes & kSpace ? at + c.size : at;
  const std::size_t end = skip<kClasses>(text, begin);
  return end > begin ? end : at;
}

// [一-龥ࠀ-一가-퟿]+
std::size_t deepseek_cjk(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const Utf8Char c = utf8_char(text, at);
    const bool inside =
        (c.code >= 0x800 && c.code <= 0x9FA5) || (c.code >= 0xAC00 && c.code <= 0xD7FF);
    if (!inside) break;
    at += c.size;
  }
  return at;
}

// [\p{P}\$\+<=>\^~\|]+
std::size_t signs(std::string_view text, std::size_t at) {
  constexpr std::string_view kSigns = "$+<=>^~|";
  while (at < text.size()) {
    const ClassedChar c = class_at(text, at);
    if ((c.classes & kPunctuation) == 0 && kSigns.find(text[at]) == std::string_view::npos) break;
    at += c.size;
  }
  return at;
}

// [0-9][0-9][0-9]
std::size_t three_digits(std::string_view text, std::size_t at) {
  const auto digit = [&](std::size_t i) {
    return i < text.size() && text[i] >= '0' && text[i] <= '9';
  };
  return digit(at) && digit(at + 1) && digit(at + 2) ? at + 3 : at;
}

constexpr PreTokenizer kGpt2{{gpt2}, 1, false, false};
constexpr PreTokenizer kLlama3{{llama3<3>}, 1, true, true};
constexpr PreTokenizer kQwen2{{llama3<1>}, 1, false, false};
constexpr PreTokenizer kDigitByDigit{{match_or_gap<number>, gpt2}, 2, false, false};
constexpr PreTokenizer kDefault{
    {match_or_gap<signs>, gpt2, match_or_gap<numbers>, match_or_gap<three_digits>},
    4,
    false,
    false};
constexpr PreTokenizer kDeepseekCoder{
    {match_or_gap<newline>, match_or_gap<spaced<kLetter>>, match_or_gap<spaced<kPunctuation>>,
     match_or_gap<deepseek_cjk>, match_or_gap<number>},
    5,
    false,
    false};

// The names that llama.cpp's converter writes (llama-vocab.cpp).
constexpr struct {
  std::string_view name;
  const PreTokenizer* pre;
} kNames[] = {{"default", &kDefault},
              {"gpt-2", &kGpt2},
              {"phi-2", &kGpt2},
              {"llama-bpe", &kLlama3},
              {"llama3", &kLlama3},
              {"llama-v3", &kLlama3},
              {"qwen2", &kQwen2},
              {"deepseek-r1-qwen", &kQwen2},
              {"deepseek-coder", &kDeepseekCoder},
              {"smollm", &kDigitByDigit},
              {"starcoder", &kDigitByDigit}};

}  // namespace

const PreTokenizer* find_pre_tokenizer(std::string_view name) noexcept {
  for (const auto& known : kNames)
    if (known.name == name) return known.pre;
  return nullptr;
}

std::string pre_tokenizer_names() {
  std::string names;
  for (const auto& known : kNames) {
    if (!names.empty()) names += ", ";
    names += known.name;
  }
  return names;
}

}  // namespace tyto::text
