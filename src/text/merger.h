// Byte-pair encoding's inner loop, for SentencePiece's form of it and for the byte-level one: of all neighbors that
// may join, the pair of lowest rank joins first, the leftmost of equals. O(n log n), whatever the text.
// (Sennrich et al. 2016, arxiv.org/abs/1508.07909; the agenda is SentencePiece's.)
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "src/text/vocabulary.h"
#include "tyto/tokenizer.h"

namespace tyto::text {

struct Join {
  static constexpr std::uint32_t kNever = UINT32_MAX;
  std::uint32_t rank = kNever;
  TokenId id = kNoToken;  // what the two become
};

struct Symbol {
  TokenId id;
  std::uint32_t begin;  // in the word; it ends where the next one begins
  std::uint32_t previous, next;
  Join join;  // with the next one
};

class Merger {
 public:
  void clear() noexcept { symbols_.clear(); }
  void add(TokenId id, std::uint32_t begin) {
    const auto i = static_cast<std::uint32_t>(symbols_.size());
    symbols_.push_back({id, begin, i - 1, i + 1, {}});  // the first one's previous is kNone
  }

  // join(left, right, end) tells whether two neighbors join; `end` is where the right one ends.
  template <class JoinOf>
  void run(std::uint32_t word_size, const JoinOf& join_of) {
    add(kNoToken, word_size);  // so that every symbol has a next one
    agenda_.clear();
    for (std::uint32_t i = 0; i + 2 < symbols_.size(); ++i) {
      Symbol& left = symbols_[i];
      left.join = join_of(left, symbols_[i + 1], symbols_[i + 2].begin);
      if (left.join.rank != Join::kNever) agenda_.push_back(key(left.join.rank, i));
    }
    std::make_heap(agenda_.begin(), agenda_.end(), std::greater<>());
    while (!agenda_.empty()) {
      std::pop_heap(agenda_.begin(), agenda_.end(), std::greater<>());
      const std::uint64_t first = agenda_.back();
      agenda_.pop_back();
      const auto i = static_cast<std::uint32_t>(first);
      if (symbols_[i].join.rank == first >> 32) merge(i, join_of);  // else outdated
    }
  }

  // Calls visit(symbol, end) for each symbol that is left.
  template <class Visit>
  void each(const Visit& visit) const {
    const auto last = static_cast<std::uint32_t>(symbols_.size() - 1);
    for (std::uint32_t i = 0; i != last; i = symbols_[i].next)
      visit(symbols_[i], symbols_[symbols_[i].next].begin);
  }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  static std::uint64_t key(std::uint32_t rank, std::uint32_t i) noexcept {
    return std::uint64_t{rank} << 32 | i;
  }

  template <class JoinOf>
  void merge(std::uint32_t i, const JoinOf& join_of) {
    Symbol& left = symbols_[i];
    Symbol& right = symbols_[left.next];
    left.id = left.join.id;
    left.next = right.next;
    symbols_[left.next].previous = i;
    right.join = {};
    renew(i, join_of);
    if (left.previous != kNone) renew(left.previous, join_of);
  }

  template <class JoinOf>
  void renew(std::uint32_t i, const JoinOf& join_of) {
    Symbol& left = symbols_[i];
    left.join = {};
    const Symbol& right = symbols_[left.next];
    if (left.next + 1 == symbols_.size()) return;
    left.join = join_of(left, right, symbols_[right.next].begin);
    if (left.join.rank == Join::kNever) return;
    agenda_.push_back(key(left.join.rank, i));
    std::push_heap(agenda_.begin(), agenda_.end(), std::greater<>());
  }

  std::vector<Symbol> symbols_;
  std::vector<std::uint64_t> agenda_;  // a heap; entries whose pair has changed since stay until they come up
};

}  // namespace tyto::text
