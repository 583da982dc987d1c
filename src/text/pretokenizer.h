// Cuts text into the words within which byte-level BPE merges. Each way of cutting is a regular
// expression of the field (tokenizer.ggml.pre), written out as a scanner: one pass, constant stack,
// whatever the text.
#pragma once
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace tyto::text {

// Where the piece that begins at text[begin] ends. A piece is a match of an expression, or what
// lies between matches.
using Cut = std::size_t (*)(std::string_view text, std::size_t begin);

struct PreTokenizer {
  static constexpr std::size_t kMaxCuts = 5;

  std::array<Cut, kMaxCuts>
      cuts;  // each cuts the pieces of the one before, as if they were texts of their own
  std::size_t count;
  bool whole_word_first;  // a word that is a token is that token, whatever the merges say
  bool adds_begin;        // the begin token is added unless the file says no
};

// By the name in tokenizer.ggml.pre. Null: not one that this build knows.
const PreTokenizer* find_pre_tokenizer(std::string_view name) noexcept;
std::string pre_tokenizer_names();

// Walks over the words of a text.
class WordCursor {
 public:
  WordCursor(const PreTokenizer& pre, std::string_view text) noexcept
      : cuts_(pre.cuts.data(), pre.count), text_(text) {}

  // Where the word that begins at `begin` ends. Words are asked for in order, from 0 on.
  std::size_t word_end(std::size_t begin) noexcept {
    std::size_t known = cuts_.size();  // pieces that still cover `begin`
    while (known > 0 && ends_[known - 1] <= begin) --known;
    for (; known < cuts_.size(); ++known) {
      const std::size_t limit = known == 0 ? text_.size() : ends_[known - 1];
      ends_[known] = cuts_[known](text_.substr(0, limit), begin);
    }
    return ends_[cuts_.size() - 1];
  }

 private:
  std::span<const Cut> cuts_;
  std::string_view text_;
  std::array<std::size_t, PreTokenizer::kMaxCuts> ends_{};
};

}  // namespace tyto::text
