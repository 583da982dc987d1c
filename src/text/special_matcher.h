// Finds the tokens that text names as a whole: user-defined ones always, control tokens where the
// caller allows it.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "src/text/hashing.h"
#include "src/text/vocabulary.h"

namespace tyto::text {

class SpecialMatcher {
 public:
  struct Match {
    std::size_t begin, end;
    TokenId id;  // kNoToken: no match, and begin is the text's end
  };

  explicit SpecialMatcher(const Vocabulary& vocabulary);

  // The leftmost match at or after `from`, and the longest one there.
  Match find(std::string_view text, std::size_t from, bool control) const noexcept;

  // The token of exactly this text, or kNoToken.
  TokenId whole(std::string_view text) const noexcept {
    const Match match = longest_at(text, 0, true);
    return match.end == text.size() ? match.id : kNoToken;
  }

  std::uint64_t memory_bytes() const noexcept;

 private:
  struct Node {
    TokenId user_defined = kNoToken;
    TokenId any = kNoToken;
  };
  void add(std::string_view text, TokenId id, bool control);
  Match longest_at(std::string_view text, std::size_t begin, bool control) const noexcept;

  PairMap edges_;  // (node, byte) to node: a trie
  std::vector<Node> nodes_;
  std::array<bool, 256> begins_user_defined_{};
  std::array<bool, 256> begins_any_{};
};

}  // namespace tyto::text
