// Text to token ids and back. Implements SentencePiece's BPE (github.com/google/sentencepiece),
// byte-level BPE (GPT-2) with the pre-tokenizers of the field, and WordPiece (BERT), from a model
// file's own vocabulary.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tyto/export.h"
#include "tyto/host.h"
#include "tyto/result.h"

namespace tyto {
inline namespace v1 {

using TokenId = std::int32_t;

struct EncodeOptions {
  bool add_special = false;  // the begin and end tokens that the model's metadata asks for
  // Let text name control tokens. For templates; text from a user never should.
  bool parse_special = false;
};

// Immutable; copies share the tables; every method may be called from several threads at once.
// A default-constructed or moved-from Tokenizer answers bad_argument.
class TYTO_EXPORT Tokenizer {
 public:
  // From a GGUF file; a file without weights will do.
  static Result<Tokenizer> load(std::string_view utf8_path);
  static Result<Tokenizer> load(const FileSource& source);

  // Any bytes are accepted: what is not UTF-8 becomes byte or unknown tokens. More than 2^31-1
  // bytes is `limit`.
  Result<std::vector<TokenId>> encode(std::string_view text, EncodeOptions options = {}) const;
  // Raw bytes of the whole sequence, control tokens left out. An id outside the vocabulary is
  // bad_argument.
  Result<std::string> decode(std::span<const TokenId> ids) const;
  // The bytes one token stands for; empty for control tokens and ids outside the vocabulary. A
  // token at the start of a text may lose its leading space in decode; bytes() keeps it.
  std::string_view bytes(TokenId id) const noexcept;
  // The token as the vocabulary writes it ("▁the", "<s>"); empty for ids outside the vocabulary.
  std::string_view piece(TokenId id) const noexcept;
  // A control token by its name, "<s>" or "<|eot_id|>".
  std::optional<TokenId> special(std::string_view name) const noexcept;
  std::optional<TokenId> begin_of_text() const noexcept;
  // True for the tokens that end a generation: end of text, end of turn.
  bool ends_text(TokenId id) const noexcept;
  int vocab_size() const noexcept;

  struct Impl;
  Tokenizer() noexcept = default;
  explicit Tokenizer(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
  const Impl* impl() const noexcept { return impl_.get(); }

 private:
  std::shared_ptr<const Impl> impl_;
};

}  // namespace v1
}  // namespace tyto
