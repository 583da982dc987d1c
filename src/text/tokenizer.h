// Inside a Tokenizer.
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>

#include "src/file/metadata.h"
#include "src/text/encoder.h"
#include "src/text/special_matcher.h"
#include "src/text/vocabulary.h"
#include "tyto/tokenizer.h"

namespace tyto {
inline namespace v1 {

// The vocabulary's address is known to the encoder, so an Impl stays where it is.
struct TYTO_LOCAL Tokenizer::Impl {
  text::Vocabulary vocabulary;
  text::SpecialMatcher specials{vocabulary};
  std::unique_ptr<const text::Encoder> encoder = {};
  TokenId first = text::kNoToken;  // what add_special adds; kNoToken: nothing
  TokenId last = text::kNoToken;
  bool space_prefix = false;  // encoding puts a space before a text, decoding takes it away

  explicit Impl(text::Vocabulary tokens) : vocabulary(std::move(tokens)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::uint64_t memory_bytes() const noexcept;
};

}  // namespace v1

namespace text {

// From a model file's keys; `file_name` is for messages.
Result<Tokenizer> make_tokenizer(const file::Metadata& metadata, std::string_view file_name);

// The bytes of a sequence, token by token, without the spaces that encoding put in: before a text,
// and after a user-defined token. A copy goes on from where the original is.
class SequenceBytes {
 public:
  // starts_text: the first token is the first of a text, not the continuation of one.
  SequenceBytes(const Tokenizer::Impl& tokenizer, bool starts_text) noexcept
      : tokenizer_(&tokenizer), drop_space_(starts_text && tokenizer.space_prefix) {}
  // Those of the next token, which the vocabulary has.
  std::string_view next(TokenId id) noexcept;

 private:
  const Tokenizer::Impl* tokenizer_;
  bool drop_space_;
};

}  // namespace text
}  // namespace tyto
