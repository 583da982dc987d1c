// Byte-pair encoding's inner loop, for SentencePiece's form of it and for the byte-level one: of
// all neighbors that may join, the pair of lowest rank joins first, the leftmost of equals. O(n log
// n), whatever the text. (Sennrich et al. 2016, arxiv.org/abs/1508.07909; the agenda is
// SentencePiece's.)
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

  // join_of(left, right, end) tells whether two neighbors join; `end` is where the right one ends.
  template <class JoinOf>
  void run(std::uint32_t word_size, const JoinOf& join_of) {
    add(kNoToken, word_size);  // so that every symbol has a next one
    for (std::uint32_t i = 0; i + 2 < symbols_.size(); ++i)
      symbols_[i].join = join_of(symbols_[i], symbols_[i + 1], symbols_[i + 2].begin);
    symbols_.size() <= kShort ? run_short(join_of) : run_long(join_of);
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
  static constexpr std::size_t kShort =
      24;  // symbols; looking at all of them is cheaper than a heap

  static std::uint64_t key(std::uint32_t rank, std::uint32_t i) noexcept {
    return std::uint64_t{rank} << 32 | i;
  }

  template <class JoinOf>
  void run_short(const JoinOf& join_of) {
    for (;;) {
      std::uint32_t best = 0;
      for (std::uint32_t i = 0; i + 1 < symbols_.size(); i = symbols_[i].next)
        if (symbols_[i].join.rank < symbols_[best].join.rank) best = i;
      if (symbols_[best].join.rank == Join::kNever) return;
      merge(best, join_of);
    }
  }

  template <class JoinOf>
  void run_long(const JoinOf& join_of) {
    agenda_.clear();
    for (std::uint32_t i = 0; i < symbols_.size(); ++i)
      if (symbols_[i].join.rank != Join::kNever) agenda_.push_back(key(symbols_[i].join.rank, i));
    std::make_heap(agenda_.begin(), agenda_.end(), std::greater<>());
    while (!agenda_.empty()) {
      std::pop_heap(agenda_.begin(), agenda_.end(), std::greater<>());
      const std::uint64_t first = agenda_.back();
      agenda_.pop_back();
      const auto i = static_cast<std::uint32_t>(first);
      if (symbols_[i].join.rank != first >> 32) continue;  // outdated
      merge(i, join_of);
      schedule(i);
      schedule(symbols_[i].previous);
    }
  }

  void schedule(std::uint32_t i) {
    if (i == kNone || symbols_[i].join.rank == Join::kNever) return;
    agenda_.push_back(key(symbols_[i].join.rank, i));
    std::push_heap(agenda_.begin(), agenda_.end(), std::greater<>());
  }

  // The symbol at i takes in the one after it; both pairs around it change.
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
    const Symbol& right = symbols_[left.next];
    const bool last = left.next + 1 == symbols_.size();
    left.join = last ? Join{} : join_of(left, right, symbols_[right.next].begin);
  }

  std::vector<Symbol> symbols_;
  std::vector<std::uint64_t>
      agenda_;  // a heap; entries whose pair has changed since stay until they come up
};

}  // namespace tyto::text
