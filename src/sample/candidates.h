// What is left of the vocabulary while a token is being chosen: ids, their logits, and on demand
// their probabilities.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "src/sample/rank.h"
#include "src/top_logits.h"
#include "tyto/tokenizer.h"

namespace tyto::sample {

// Ids stand in ascending order throughout: dropping some keeps the order, so that a draw does not
// depend on how a stage sorts. Buffers grow to their final size in the first draw from a
// whole vocabulary, or from a part, and are used again in every later one.
class Candidates {
 public:
  // The whole vocabulary: ids()[i] == i until something is dropped.
  void assign(std::span<const float> logits);
  // A part of it, in the order of the tokens.
  void assign(std::span<const TopLogit> part);

  std::size_t size() const noexcept { return size_; }
  std::span<const TokenId> ids() const noexcept { return {ids_.data(), size_}; }
  std::span<const float> logits() const noexcept { return {logits_.data(), size_}; }
  // To be changed in place.
  std::span<float> mutable_logits() noexcept;

  // exp(logit - highest logit), but for a common factor once some were dropped: the probabilities
  // times total_weight().
  std::span<const float> weights();
  double total_weight();

  // Keeps the chosen candidates, of which there is at least one; sorts `chosen`.
  void keep(std::span<Ranked> chosen);
  // Drops the candidates that rank below `last`. At least one must remain. key(i) is asked once, in
  // ascending order.
  template <class Key>
  void keep_to(Ranked last, Key&& key) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < size_; ++i)
      if (!better(last, {key(i), static_cast<std::uint32_t>(i)})) move(i, kept++);
    resize(kept);
  }

  // Room for stages; what is in it is not kept from one stage to the next.
  std::vector<Ranked>& ranking() noexcept { return ranking_; }
  std::span<float> scratch();  // a number for each candidate

 private:
  void move(std::size_t from, std::size_t to) noexcept {
    ids_[to] = ids_[from];
    logits_[to] = logits_[from];
    weights_[to] = weights_[from];
  }
  void make_room(std::size_t size);
  void resize(std::size_t size) noexcept {
    size_ = size;
    total_known_ = false;
  }

  std::size_t size_ = 0;
  std::vector<TokenId> ids_;  // these vectors have the size of what was assigned
  std::vector<float> logits_, weights_, scratch_;
  std::vector<Ranked> ranking_;
  bool weights_known_ = false, total_known_ = false;
  double total_ = 0;
};

}  // namespace tyto::sample
