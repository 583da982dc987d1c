// How one kind of model turns text without special tokens into ids.
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "src/text/vocabulary.h"
#include "tyto/result.h"
#include "tyto/tokenizer.h"

namespace tyto::text {

struct PreTokenizer;

// One call of encode(): its fragments in order.
class Encoding {
 public:
  virtual ~Encoding() = default;
  // A part of the text between special tokens, or all of it; its ids are appended.
  virtual void add(std::string_view fragment) = 0;
};

// Immutable; the vocabulary outlives it, and it its encodings.
class Encoder {
 public:
  virtual ~Encoder() = default;
  // `text` is the whole text, of which the fragments are parts; it and `ids` outlive the encoding.
  virtual std::unique_ptr<Encoding> begin(std::string_view text,
                                          std::vector<TokenId>& ids) const = 0;
  virtual std::uint64_t memory_bytes() const noexcept = 0;
};

// Each reads what its kind needs from the metadata.
Result<std::unique_ptr<Encoder>> make_sentencepiece(const file::Metadata& metadata,
                                                    std::string_view file_name,
                                                    const Vocabulary& vocabulary,
                                                    bool space_prefix);
Result<std::unique_ptr<Encoder>> make_byte_bpe(const file::Metadata& metadata,
                                               std::string_view file_name,
                                               const Vocabulary& vocabulary,
                                               const PreTokenizer& pre);
Result<std::unique_ptr<Encoder>> make_wordpiece(const file::Metadata& metadata,
                                                const Vocabulary& vocabulary);

}  // namespace tyto::text
