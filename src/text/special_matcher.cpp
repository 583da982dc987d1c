#include "src/text/special_matcher.h"

namespace tyto::text {

static bool is_special(TokenType type) noexcept {
  return type == TokenType::user_defined || type == TokenType::control ||
         type == TokenType::unknown;
}

SpecialMatcher::SpecialMatcher(const Vocabulary& vocabulary) : nodes_(1) {
  std::size_t bytes = 0;
  for (TokenId id = 0; id < vocabulary.size(); ++id)
    if (is_special(vocabulary.type(id))) bytes += vocabulary.piece(id).size();
  edges_.reserve(bytes, table_seed(this));
  for (TokenId id = 0; id < vocabulary.size(); ++id)
    if (is_special(vocabulary.type(id)))
      add(vocabulary.piece(id), id, vocabulary.type(id) != TokenType::user_defined);
}

void SpecialMatcher::add(std::string_view text, TokenId id, bool control) {
  if (text.empty()) return;
  begins_any_[static_cast<unsigned char>(text[0])] = true;
  if (!control) begins_user_defined_[static_cast<unsigned char>(text[0])] = true;
  std::uint32_t node = 0;
  for (const char c : text) {
    const auto fresh = static_cast<std::uint32_t>(nodes_.size());
    const auto byte = static_cast<unsigned char>(c);
    if (edges_.insert(node, byte, fresh)) nodes_.emplace_back();
    node = edges_.find(node, byte);
  }
  if (nodes_[node].any == kNoToken) nodes_[node].any = id;
  if (!control && nodes_[node].user_defined == kNoToken) nodes_[node].user_defined = id;
}

SpecialMatcher::Match SpecialMatcher::find(std::string_view text, std::size_t from,
                                           bool control) const noexcept {
  const auto& begins = control ? begins_any_ : begins_user_defined_;
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    if (!begins[static_cast<unsigned char>(text[begin])]) continue;
    const Match match = longest_at(text, begin, control);
    if (match.id != kNoToken) return match;
  }
  return {text.size(), text.size(), kNoToken};
}

SpecialMatcher::Match SpecialMatcher::longest_at(std::string_view text, std::size_t begin,
                                                 bool control) const noexcept {
  Match best{begin, begin, kNoToken};
  std::uint32_t node = 0;
  for (std::size_t at = begin; at < text.size();) {
    node = edges_.find(node, static_cast<unsigned char>(text[at++]));
    if (node == PairMap::kNone) break;
    const TokenId id = control ? nodes_[node].any : nodes_[node].user_defined;
    if (id != kNoToken) best = {begin, at, id};
  }
  return best;
}

std::uint64_t SpecialMatcher::memory_bytes() const noexcept {
  return edges_.memory_bytes() + nodes_.capacity() * sizeof(Node);
}

}  // namespace tyto::text
