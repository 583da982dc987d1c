// Byte-level BPE (github.com/openai/gpt-2): text is cut into words, and in each word the pair of
// neighbors that comes first in the list of merges joins first.
#include <string>
#include <unordered_map>

#include "src/base/error.h"
#include "src/file/quoted.h"
#include "src/text/byte_alphabet.h"
#include "src/text/encoder.h"
#include "src/text/hashing.h"
#include "src/text/merger.h"
#include "src/text/pretokenizer.h"
#include "src/text/word_cache.h"

namespace tyto::text {
namespace {

class ByteBpe : public Encoder {
 public:
  ByteBpe(const Vocabulary& vocabulary, const PreTokenizer& pre)
      : vocabulary_(vocabulary), pre_(pre) {
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      byte_ids_[static_cast<std::size_t>(byte)] = vocabulary.find({&c, 1});
    }
  }
  Result<> load_merges(const file::Metadata& metadata, std::string_view file_name);

  std::unique_ptr<Encoding> begin(std::string_view text, std::vector<TokenId>& ids) const override;
  std::uint64_t memory_bytes() const noexcept override {
    return sizeof(*this) + ranks_.memory_bytes() + joined_.capacity() * sizeof(TokenId);
  }

  const Vocabulary& vocabulary() const noexcept { return vocabulary_; }
  const PreTokenizer& pre() const noexcept { return pre_; }
  TokenId byte_id(char byte) const noexcept { return byte_ids_[static_cast<unsigned char>(byte)]; }
  Join join(TokenId left, TokenId right) const noexcept {
    const std::uint32_t rank =
        ranks_.find(static_cast<std::uint32_t>(left), static_cast<std::uint32_t>(right));
    return rank == Join::kNever ? Join{} : Join{rank, joined_[rank]};
  }

 private:
  const Vocabulary& vocabulary_;
  const PreTokenizer& pre_;
  std::array<TokenId, 256> byte_ids_{};
  PairMap ranks_;                // of a pair of tokens; kNoToken is in none
  std::vector<TokenId> joined_;  // by rank
};

// Resolves the names in merges.
class MergeNames {
 public:
  explicit MergeNames(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {
    for (TokenId id = 0; id < vocabulary.size(); ++id)
      if (vocabulary.find(vocabulary.bytes(id)) == kNoToken)
        others_.emplace(vocabulary.piece(id), id);
  }
  // kNoToken where text cannot become the token of that name.
  TokenId find(std::string_view name) {
    bytes_.clear();
    return append_alphabet_bytes(name, bytes_) ? vocabulary_.find(bytes_) : kNoToken;
  }
  bool exists(std::string_view name) const { return others_.contains(name); }

 private:
  const Vocabulary& vocabulary_;
  std::unordered_map<std::string_view, TokenId> others_;  // tokens out of the reach of text
  std::string bytes_;
};

Result<> ByteBpe::load_merges(const file::Metadata& metadata, std::string_view file_name) {
  constexpr std::string_view kKey = "tokenizer.ggml.merges";
  TYTO_TRY(const file::TextArray merges, metadata.texts(kKey));
  if (merges.size() >= Join::kNever)
    return fail(ErrorCode::limit, "{}: {} has {} elements; less than 2^32-1 are supported",
                file_name, kKey, merges.size());
  ranks_.reserve(merges.size(), table_seed(this));
  joined_.reserve(merges.size());
  MergeNames names(vocabulary_);
  std::string whole;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const std::string_view merge = merges[i];
    const std::size_t space = merge.find(' ', 1);  // the first character may be a space
    if (space == std::string_view::npos || space + 1 == merge.size())
      return fail(ErrorCode::bad_file,
                  "{}: merge {} is {}, expected two tokens and a space between them", file_name, i,
                  file::quoted(merge));
    const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
    whole.assign(left).append(right);
    const TokenId left_id = names.find(left), right_id = names.find(right),
                  whole_id = names.find(whole);
    for (const auto& [name, id] : {std::pair(left, left_id), std::pair(right, right_id),
                                   std::pair(std::string_view(whole), whole_id)})
      if (id == kNoToken && !names.exists(name))
        return fail(ErrorCode::bad_file, "{}: merge {} is {}, but there is no token {}", file_name,
                    i, file::quoted(merge), file::quoted(name));
    joined_.push_back(whole_id);
    if (left_id != kNoToken && right_id != kNoToken && whole_id != kNoToken)
      ranks_.insert(static_cast<std::uint32_t>(left_id), static_cast<std::uint32_t>(right_id),
                    static_cast<std::uint32_t>(i));
  }
  return {};
}

class ByteBpeEncoding : public Encoding {
 public:
  ByteBpeEncoding(const ByteBpe& model, std::string_view text, std::vector<TokenId>& ids)
      : model_(model), text_(text), ids_(ids), cache_(text.size(), ids) {}

  void add(std::string_view fragment) override {
    const auto offset = static_cast<std::size_t>(fragment.data() - text_.data());
    WordCursor words(model_.pre(), fragment);
    for (std::size_t begin = 0; begin < fragment.size();) {
      const std::size_t end = words.word_end(begin);
      cache_.add(text_, offset + begin, offset + end,
                 [&] { encode(fragment.substr(begin, end - begin)); });
      begin = end;
    }
  }

 private:
  void encode(std::string_view word) {
    if (model_.pre().whole_word_first) {
      const TokenId whole = model_.vocabulary().find(word);
      if (whole != kNoToken) return ids_.push_back(whole);
    }
    merger_.clear();
    for (std::size_t i = 0; i < word.size(); ++i)
      merger_.add(model_.byte_id(word[i]), static_cast<std::uint32_t>(i));
    merger_.run(static_cast<std::uint32_t>(word.size()),
                [&](const Symbol& left, const Symbol& right, std::uint32_t) {
                  return model_.join(left.id, right.id);
                });
    merger_.each([&](const Symbol& symbol, std::uint32_t) {
      const TokenId id =
          symbol.id != kNoToken
              ? symbol.id
              : model_.vocabulary().fallback(static_cast<unsigned char>(word[symbol.begin]));
      if (id != kNoToken) ids_.push_back(id);
    });
  }

  const ByteBpe& model_;
  std::string_view text_;
  std::vector<TokenId>& ids_;
  WordCache cache_;
  Merger merger_;
};

std::unique_ptr<Encoding> ByteBpe::begin(std::string_view text, std::vector<TokenId>& ids) const {
  return std::make_unique<ByteBpeEncoding>(*this, text, ids);
}

}  // namespace

Result<std::unique_ptr<Encoder>> make_byte_bpe(const file::Metadata& metadata,
                                               std::string_view file_name,
                                               const Vocabulary& vocabulary,
                                               const PreTokenizer& pre) {
  auto encoder = std::make_unique<ByteBpe>(vocabulary, pre);
  TYTO_TRY(encoder->load_merges(metadata, file_name));
  return std::unique_ptr<Encoder>(std::move(encoder));
}

}  // namespace tyto::text
