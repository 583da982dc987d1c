// SentencePiece's BPE (github.com/google/sentencepiece, bpe_model.cc): of all neighbors whose
// concatenation is a token, the pair of the highest score joins first. Characters that are no token
// become byte tokens.
#include <algorithm>
#include <bitset>
#include <cmath>
#include <numeric>

#include "src/base/error.h"
#include "src/text/encoder.h"
#include "src/text/merger.h"
#include "src/text/utf8.h"
#include "src/text/word_cache.h"

namespace tyto::text {
namespace {

constexpr std::string_view kEscapedSpace = "\xE2\x96\x81";

class SentencePiece : public Encoder {
 public:
  SentencePiece(const Vocabulary& vocabulary, bool space_prefix, std::span<const float> scores)
      : vocabulary_(vocabulary), space_prefix_(space_prefix), ranks_(scores.size()) {
    rank(scores);
    for (int byte = 0; byte < 256; ++byte)
      fuses_unknown_ |=
          vocabulary.fallback(static_cast<unsigned char>(byte)) == vocabulary.roles().unknown;
    for (TokenId id = 0; id < vocabulary.size(); ++id)
      if (vocabulary.find(vocabulary.bytes(id)) == id) mark_neighbors(vocabulary.bytes(id));
  }

  std::unique_ptr<Encoding> begin(std::string_view text, std::vector<TokenId>& ids) const override;
  std::uint64_t memory_bytes() const noexcept override {
    return sizeof(*this) + ranks_.capacity() * sizeof(ranks_[0]);
  }

  const Vocabulary& vocabulary() const noexcept { return vocabulary_; }
  bool space_prefix() const noexcept { return space_prefix_; }
  Join join(std::string_view bytes) const noexcept {
    const TokenId id = vocabulary_.find(bytes);
    return id == kNoToken ? Join{} : Join{ranks_[static_cast<std::size_t>(id)], id};
  }
  // Without a token for every byte, a run of unknown characters is one unknown token; it may begin
  // in another word.
  bool fuses_unknown() const noexcept { return fuses_unknown_; }
  // Whether a token may contain the point between these two bytes.
  bool may_join(char left, char right) const noexcept {
    return is_continuation(right) || neighbors_[pair(left, right)];
  }

 private:
  static std::size_t pair(char left, char right) noexcept {
    return static_cast<std::size_t>(static_cast<unsigned char>(left)) << 8 |
           static_cast<unsigned char>(right);
  }
  void mark_neighbors(std::string_view bytes) {
    for (std::size_t i = 1; i < bytes.size(); ++i) neighbors_.set(pair(bytes[i - 1], bytes[i]));
  }
  // Equal scores get equal ranks: among them the leftmost pair wins.
  void rank(std::span<const float> scores) {
    std::vector<std::uint32_t> order(scores.size());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(),
                     [&](auto a, auto b) { return scores[a] > scores[b]; });
    std::uint32_t rank = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (i > 0 && scores[order[i]] != scores[order[i - 1]]) ++rank;
      ranks_[order[i]] = rank;
    }
  }

  const Vocabulary& vocabulary_;
  bool space_prefix_;
  bool fuses_unknown_ = false;
  std::vector<std::uint32_t> ranks_;
  std::bitset<65536> neighbors_;  // bytes that follow each other inside a token
};

class SentencePieceEncoding : public Encoding {
 public:
  SentencePieceEncoding(const SentencePiece& model, std::size_t text_bytes,
                        std::vector<TokenId>& ids)
      : model_(model), ids_(ids), cache_(text_bytes, ids) {
    text_.reserve(text_bytes + 1);
  }

  // The text is cut wherever no token can lie across: what is between two cuts merges on its own.
  void add(std::string_view fragment) override {
    std::size_t begin = text_.size();
    append_unescaped(fragment);
    for (std::size_t at = begin; at < text_.size();) {
      const std::size_t end = next_cut(at);
      const auto encode_word = [&] { encode(std::string_view(text_).substr(at, end - at)); };
      model_.fuses_unknown() ? encode_word() : cache_.add(text_, at, end, encode_word);
      at = end;
    }
  }

 private:
  // A space and U+2581 are the same to SentencePiece; here both are a space.
  void append_unescaped(std::string_view fragment) {
    if (model_.space_prefix()) text_.push_back(' ');
    for (;;) {
      const std::size_t escaped = fragment.find(kEscapedSpace);
      text_.append(fragment.substr(0, escaped));
      if (escaped == std::string_view::npos) return;
      text_.push_back(' ');
      fragment.remove_prefix(escaped + kEscapedSpace.size());
    }
  }

  std::size_t next_cut(std::size_t at) const noexcept {
    do ++at;
    while (at < text_.size() && model_.may_join(text_[at - 1], text_[at]));
    return at;
  }

  void encode(std::string_view word) {
    merger_.clear();
    for (std::size_t at = 0; at < word.size(); at += utf8_char(word, at).size)
      merger_.add(kNoToken, static_cast<std::uint32_t>(at));
    merger_.run(static_cast<std::uint32_t>(word.size()),
                [&](const Symbol& left, const Symbol&, std::uint32_t end) {
                  return model_.join(word.substr(left.begin, end - left.begin));
                });
    merger_.each([&](const Symbol& symbol, std::uint32_t end) {
      const std::string_view bytes = word.substr(symbol.begin, end - symbol.begin);
      const TokenId id = symbol.id != kNoToken ? symbol.id : model_.vocabulary().find(bytes);
      if (id != kNoToken) {
        ids_.push_back(id);
      } else {
        for (const char byte : bytes) append_fallback(static_cast<unsigned char>(byte));
      }
    });
  }

  void append_fallback(unsigned char byte) {
    const TokenId id = model_.vocabulary().fallback(byte);
    const bool again =
        id == model_.vocabulary().roles().unknown && !ids_.empty() && ids_.back() == id;
    if (id != kNoToken && !again) ids_.push_back(id);
  }

  const SentencePiece& model_;
  std::vector<TokenId>& ids_;
  std::string text_;
  WordCache cache_;
  Merger merger_;
};

std::unique_ptr<Encoding> SentencePiece::begin(std::string_view text,
                                               std::vector<TokenId>& ids) const {
  return std::make_unique<SentencePieceEncoding>(*this, text.size(), ids);
}

}  // namespace

Result<std::unique_ptr<Encoder>> make_sentencepiece(const file::Metadata& metadata,
                                                    std::string_view file_name,
                                                    const Vocabulary& vocabulary,
                                                    bool space_prefix) {
  constexpr std::string_view kKey = "tokenizer.ggml.scores";
  TYTO_TRY(const auto scores, metadata.numbers(kKey));
  if (scores.size() != static_cast<std::size_t>(vocabulary.size()))
    return fail(ErrorCode::bad_file, "{}: {} has {} elements, but there are {} tokens", file_name,
                kKey, scores.size(), vocabulary.size());
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (std::isnan(scores[i]))
      return fail(ErrorCode::bad_file, "{}: {} of token {} is not a number", file_name, kKey, i);
  return std::unique_ptr<Encoder>(
      std::make_unique<SentencePiece>(vocabulary, space_prefix, scores));
}

}  // namespace tyto::text
