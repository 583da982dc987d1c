#include "src/text/unicode.h"

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "src/text/merger.h"
#include "src/text/utf8.h"
#include "tests/catch.h"

using namespace tyto;
using namespace tyto::text;

TEST_CASE("Characters have their classes", "[unicode]") {
  const std::map<CharClass, std::vector<char32_t>> classes = {
      {CharClass::letter,
       {'a', 'Z', 0xAA, 0xE9, 0x17F, 0x3A9, 0x65E5, 0xAC00, 0x1D400, 0x20000, 0x323AF}},
      {CharClass::number, {'0', '9', 0xBD, 0x663, 0x2167, 0x3007, 0x1D7D8}},
      {CharClass::punctuation, {'!', '_', '}', 0xAB, 0x2014, 0x3002, 0xFF01}},
      {CharClass::symbol, {'$', '+', '^', '`', '|', '~', 0xA9, 0x2260, 0x1F600, 0xFFFD}},
      {CharClass::mark, {0x301, 0x64B, 0x94D, 0x3099, 0xFE0F, 0xE0100, 0xE01EF}},
      {CharClass::space, {' ', '\t', '\n', 0x0B, 0x85, 0xA0, 0x1680, 0x2028, 0x3000}},
      {CharClass::control,
       {0, 0x1F, 0x7F, 0xAD, 0x200B, 0x200D, 0xFEFF, 0xE000, 0xE0001, 0xE0041, 0xF0000, 0x10FFFD}},
      {CharClass::other,
       {0x378, 0x903, 0x20DD, 0xD800, 0xFFFF, 0x323B0, 0x40000, 0xE0200, 0xFFFFE, 0x10FFFF}}};
  for (const auto& [want, codes] : classes)
    for (const char32_t code : codes) {
      INFO(static_cast<unsigned long>(code));
      CHECK(class_of(code) == want);
    }
}

TEST_CASE("The classes have as many characters as Unicode 16 has", "[unicode]") {
  std::map<CharClass, int> counts;
  for (char32_t code = 0; code < 0x110000; ++code) ++counts[class_of(code)];
  CHECK(counts[CharClass::letter] == 141028);
  CHECK(counts[CharClass::number] == 1911);
  CHECK(counts[CharClass::punctuation] == 855);
  CHECK(counts[CharClass::symbol] == 8514);
  CHECK(counts[CharClass::mark] == 2020);
  CHECK(counts[CharClass::space] == 25);
  CHECK(counts[CharClass::control] == 65 - 6 + 170 + 137468);
}

static std::u32string text_of(const ShortText& text) {
  return {text.codes.begin(), text.codes.begin() + text.count};
}

TEST_CASE("Letters fold to lower case", "[unicode]") {
  const std::map<char32_t, std::u32string> lowered = {
      {'A', U"a"},    {'z', U"z"},   {'@', U"@"},         {0xC9, U"é"},   {0xD7, U"×"},
      {0x100, U"ā"},  {0x101, U"ā"}, {0x130, U"i\u0307"}, {0x178, U"ÿ"},  {0x1C5, U"ǆ"},
      {0x1E9E, U"ß"}, {0x3A9, U"ω"}, {0x416, U"ж"},       {0x2126, U"ω"}, {0x10400, U"\U00010428"}};
  for (const auto& [code, want] : lowered) CHECK((text_of(lower(code)) == want));
}

TEST_CASE("Accents come off", "[unicode]") {
  const std::map<char32_t, std::u32string> bare = {{'e', U"e"},
                                                   {0xE9, U"e"},
                                                   {0xC5, U"A"},
                                                   {0xD8, U"Ø"},
                                                   {0x1EA5, U"a"},
                                                   {0x301, U""},
                                                   {0x439, U"и"},
                                                   {0x2260, U"="},
                                                   {0xAC00, U"\u1100\u1161"},
                                                   {0xAC01, U"\u1100\u1161\u11A8"},
                                                   {0xD7A3, U"\u1112\u1175\u11C2"},
                                                   {0x2F800, U"\u4E3D"},
                                                   {0x1D160, U"\U0001D158\U0001D165\U0001D16E"}};
  for (const auto& [code, want] : bare) CHECK((text_of(without_accents(code)) == want));
}

TEST_CASE("UTF-8 is read strictly and written back", "[unicode]") {
  for (char32_t code = 0; code < 0x110000; code += code < 0x3000 ? 1 : 97) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    append_utf8(text, code);
    const Utf8Char c = utf8_char(text, 0);
    if (c.code != code || c.size != text.size()) FAIL_CHECK(static_cast<unsigned long>(code));
    if (text.size() > 1)
      CHECK(utf8_char(std::string_view(text).substr(0, text.size() - 1), 0).code == kNotUtf8);
  }
  for (const char* bad : {"\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80",
                          "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\x80",
                          "\xBF", "\xFE", "\xFF", "\xC3x", "\xE2\x82x"}) {
    const Utf8Char c = utf8_char(bad, 0);
    CHECK(c.code == kNotUtf8);
    CHECK(c.size == 1);
  }
}

// The definition: look at all pairs, join the leftmost of the lowest rank, start again.
static std::vector<TokenId> merge_plainly(
    std::vector<TokenId> ids, const std::map<std::pair<TokenId, TokenId>, Join>& joins) {
  for (;;) {
    std::size_t best = ids.size();
    Join join;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = joins.find({ids[i], ids[i + 1]});
      if (found == joins.end() || found->second.rank >= join.rank) continue;
      join = found->second;
      best = i;
    }
    if (best == ids.size()) return ids;
    ids[best] = join.id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST_CASE("Words of any length merge as the definition says", "[merger]") {
  std::mt19937 random(11);
  const auto below = [&](unsigned n) { return static_cast<TokenId>(random() % n); };
  Merger merger;
  for (int round = 0; round < 400; ++round) {
    std::map<std::pair<TokenId, TokenId>, Join> joins;
    for (unsigned i = 0; i < 30; ++i)  // ranks repeat, as SentencePiece's do
      joins.insert({{below(12), below(12)}, {static_cast<std::uint32_t>(below(15)), below(12)}});
    std::vector<TokenId> ids(1 + random() % 80);
    for (TokenId& id : ids) id = static_cast<TokenId>(random() % 6);
    merger.clear();
    for (std::uint32_t i = 0; i < ids.size(); ++i) merger.add(ids[i], i);
    merger.run(static_cast<std::uint32_t>(ids.size()),
               [&](const Symbol& left, const Symbol& right, std::uint32_t) {
                 const auto found = joins.find({left.id, right.id});
                 return found == joins.end() ? Join{} : found->second;
               });
    std::vector<TokenId> merged;
    std::uint32_t covered = 0;
    merger.each([&](const Symbol& symbol, std::uint32_t end) {
      CHECK(symbol.begin == covered);
      covered = end;
      merged.push_back(symbol.id);
    });
    CHECK(covered == ids.size());
    CHECK(merged == merge_plainly(ids, joins));
  }
}
