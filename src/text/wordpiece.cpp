// WordPiece (github.com/google-research/bert, tokenization.py): text is cleaned, cut at white
// space, punctuation and Chinese characters, and each word is spelled by its longest known
// beginnings. In GGUF files a token that begins a word has U+2581 before it, and the "##" of those
// that continue one is gone.
#include <string>

#include "src/base/error.h"
#include "src/text/encoder.h"
#include "src/text/unicode.h"
#include "src/text/utf8.h"
#include "src/text/word_cache.h"

namespace tyto::text {
namespace {

constexpr int kMaxWordCharacters = 100;  // longer words are unknown

class WordPiece : public Encoder {
 public:
  WordPiece(const Vocabulary& vocabulary, bool lower_case, bool strip_accents)
      : vocabulary_(vocabulary), lower_case_(lower_case), strip_accents_(strip_accents) {}

  std::unique_ptr<Encoding> begin(std::string_view text, std::vector<TokenId>& ids) const override;
  std::uint64_t memory_bytes() const noexcept override { return sizeof(*this); }

  const Vocabulary& vocabulary() const noexcept { return vocabulary_; }
  // Calls visit(code) for each character that `code` becomes.
  template <class Visit>
  void normalize(char32_t code, const Visit& visit) const {
    const ShortText bare = strip_accents_ ? without_accents(code) : ShortText(code);
    for (int i = 0; i < bare.count; ++i) {
      const char32_t part = bare.codes[static_cast<std::size_t>(i)];
      const ShortText folded = lower_case_ ? lower(part) : ShortText(part);
      for (int k = 0; k < folded.count; ++k) visit(folded.codes[static_cast<std::size_t>(k)]);
    }
  }

 private:
  const Vocabulary& vocabulary_;
  bool lower_case_;
  bool strip_accents_;
};

bool is_punctuation(char32_t code) noexcept {
  const CharClass c = class_of(code);
  return c == CharClass::punctuation || (code < 0x80 && c == CharClass::symbol);
}

bool is_chinese(char32_t code) noexcept {
  return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) ||
         (code >= 0x20000 && code <= 0x2A6DF) || (code >= 0x2A700 && code <= 0x2B81F) ||
         (code >= 0x2B920 && code <= 0x2CEAF) ||  // so in the field, for 2B820
         (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x2F800 && code <= 0x2FA1F);
}

// White space that ends a word. The rest of it counts as control characters.
bool ends_word(char32_t code) noexcept {
  return class_of(code) == CharClass::space && code != 0x0B && code != 0x0C && code != 0x85;
}

// Characters that leave no trace, not even between words.
bool is_dropped(char32_t code) noexcept {
  const CharClass c = class_of(code);
  return c == CharClass::control || c == CharClass::space || code == 0xFFFD;
}

class WordPieceEncoding : public Encoding {
 public:
  WordPieceEncoding(const WordPiece& model, std::string_view text, std::vector<TokenId>& ids)
      : model_(model), text_(text), ids_(ids), cache_(text.size(), ids) {}

  void add(std::string_view fragment) override {
    const auto offset = static_cast<std::size_t>(fragment.data() - text_.data());
    std::size_t begin = 0;
    for (std::size_t at = 0; at < fragment.size();) {
      const Utf8Char c = utf8_char(fragment, at);
      if (c.code != kNotUtf8 && ends_word(c.code)) {
        add_words(offset + begin, offset + at);
        begin = at + c.size;
      }
      at += c.size;
    }
    add_words(offset + begin, offset + fragment.size());
  }

 private:
  // What stands between white space: one word and its punctuation.
  void add_words(std::size_t begin, std::size_t end) {
    if (begin == end) return;
    cache_.add(text_, begin, end, [&] {
      const std::string_view words = text_.substr(begin, end - begin);
      for (std::size_t at = 0; at < words.size();) {
        const Utf8Char c = utf8_char(words, at);
        if (c.code != kNotUtf8 && !is_dropped(c.code)) add_character(c.code);
        at += c.size;
      }
      end_word();
    });
  }

  void add_character(char32_t code) {
    const bool chinese = is_chinese(code);
    model_.normalize(code, [&](char32_t part) {
      const bool alone = chinese || is_punctuation(part);
      if (alone) end_word();
      append_utf8(word_, part);
      ++characters_;
      if (alone) end_word();
    });
  }

  void end_word() {
    if (characters_ > 0 && !spell()) {
      const TokenId unknown = model_.vocabulary().roles().unknown;
      if (unknown != kNoToken) ids_.push_back(unknown);
    }
    word_.assign(1, ' ');
    characters_ = 0;
  }

  // The longest token that the rest begins with, again and again; false, and no ids, where there is
  // none.
  bool spell() {
    if (characters_ > kMaxWordCharacters) return false;
    const std::size_t before = ids_.size();
    std::string_view rest = word_;
    while (!rest.empty()) {
      std::size_t size = std::min(rest.size(), model_.vocabulary().longest_bytes());
      TokenId id = kNoToken;
      for (; size > 0; --size)
        if ((id = model_.vocabulary().find(rest.substr(0, size))) != kNoToken) break;
      if (id == kNoToken) {
        ids_.resize(before);
        return false;
      }
      ids_.push_back(id);
      rest.remove_prefix(size);
    }
    return true;
  }

  const WordPiece& model_;
  std::string_view text_;
  std::vector<TokenId>& ids_;
  WordCache cache_;
  std::string word_ = " ";  // normalized, after a space
  int characters_ = 0;
};

std::unique_ptr<Encoding> WordPiece::begin(std::string_view text, std::vector<TokenId>& ids) const {
  return std::make_unique<WordPieceEncoding>(*this, text, ids);
}

}  // namespace

Result<std::unique_ptr<Encoder>> make_wordpiece(const file::Metadata& metadata,
                                                const Vocabulary& vocabulary) {
  TYTO_TRY(const bool lower_case, metadata.flag_or("tokenizer.ggml.normalizer.lowercase", true));
  TYTO_TRY(const bool strip_accents,
           metadata.flag_or("tokenizer.ggml.normalizer.strip_accents", lower_case));
  return std::unique_ptr<Encoder>(
      std::make_unique<WordPiece>(vocabulary, lower_case, strip_accents));
}

}  // namespace tyto::text
