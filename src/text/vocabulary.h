// The tokens of a model: how the vocabulary writes them, the bytes they stand for, and what they
// are for.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/file/metadata.h"
#include "tyto/result.h"
#include "tyto/tokenizer.h"

namespace tyto::text {

inline constexpr TokenId kNoToken = -1;

// Values of tokenizer.ggml.token_type (docs/gguf.md).
enum class TokenType : unsigned char {
  undefined,
  normal,
  unknown,
  control,
  user_defined,
  unused,
  byte
};

// tokenizer.ggml.model "llama", "gpt2" and "bert". They differ in how the vocabulary writes bytes:
// the first and the last as UTF-8 with U+2581 for a space, the second in GPT-2's alphabet of one
// printable character per byte.
enum class ModelKind : unsigned char { sentencepiece, byte_bpe, wordpiece };

// The tokens with a role, kNoToken where there is none.
struct Roles {
  TokenId begin = kNoToken;
  TokenId end = kNoToken;
  TokenId end_of_turn = kNoToken;
  TokenId end_of_message = kNoToken;
  TokenId unknown = kNoToken;
  TokenId separator = kNoToken;
};

class Vocabulary {
 public:
  // From tokenizer.ggml.tokens, .token_type and the ids of the tokens with a role.
  static Result<Vocabulary> load(const file::Metadata& metadata, std::string_view file_name,
                                 ModelKind kind);

  int size() const noexcept { return static_cast<int>(types_.size()); }
  bool contains(TokenId id) const noexcept { return id >= 0 && id < size(); }
  std::string_view piece(TokenId id) const noexcept { return pieces_[id]; }
  std::string_view bytes(TokenId id) const noexcept {
    return bytes_[id];
  }  // of control and unknown tokens: none
  TokenType type(TokenId id) const noexcept { return types_[static_cast<std::size_t>(id)]; }
  bool ends_text(TokenId id) const noexcept { return ends_text_[static_cast<std::size_t>(id)]; }
  const Roles& roles() const noexcept { return roles_; }
  std::size_t longest_bytes() const noexcept { return longest_bytes_; }

  // The token that text of these bytes may become; of several equal ones the lowest id. Never a
  // control token.
  TokenId find(std::string_view bytes) const noexcept;
  // What stands for one byte where nothing longer does: its token, the unknown token, or none.
  TokenId fallback(unsigned char byte) const noexcept { return fallback_[byte]; }

  std::uint64_t memory_bytes() const noexcept;

 private:
  // Strings back to back.
  class Strings {
   public:
    void reserve(std::size_t count, std::size_t bytes) {
      ends_.reserve(count);
      text_.reserve(bytes);
    }
    void add(std::string_view text) {
      text_.append(text);
      ends_.push_back(text_.size());
    }
    std::string_view operator[](TokenId id) const noexcept {
      const auto i = static_cast<std::size_t>(id);
      const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
      return std::string_view(text_).substr(begin, ends_[i] - begin);
    }
    std::uint64_t memory_bytes() const noexcept {
      return text_.capacity() + ends_.capacity() * sizeof(ends_[0]);
    }

   private:
    std::string text_;
    std::vector<std::size_t> ends_;
  };
  struct Slot {
    std::uint64_t last = 0;  // of the bytes' TextKey
    std::uint32_t size = 0;
    TokenId id = kNoToken;
  };

  Result<> load_types(const file::Metadata& metadata, std::string_view file_name);
  Result<> load_roles(const file::Metadata& metadata, std::string_view file_name);
  void settle_types(bool types_given, ModelKind kind);
  TokenId first_named(std::string_view piece) const noexcept;
  Result<> load_bytes(std::string_view file_name, ModelKind kind);
  std::size_t place(std::string_view bytes) const noexcept;

  Strings pieces_;
  Strings bytes_;
  std::vector<TokenType> types_;
  std::vector<bool> ends_text_;
  Roles roles_;
  std::vector<Slot> index_;  // open addressing
  std::uint64_t seed_ = 0;
  std::size_t longest_bytes_ = 0;
  std::vector<TokenId> fallback_;  // [256]
};

}  // namespace tyto::text
