// Text repeats its words. The ids of one that came before in the same text are copied from where
// they were written.
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "src/text/hashing.h"
#include "tyto/tokenizer.h"

namespace tyto::text {

class WordCache {
 public:
  // For a text of so many bytes, whose ids go to the end of `ids`.
  WordCache(std::size_t text_bytes, std::vector<TokenId>& ids)
      : ids_(ids), slots_(std::bit_ceil(std::clamp<std::size_t>(text_bytes / 8, 1, kMaxSlots))) {}

  // Appends the ids of the word text[begin, end): copied, or else by calling encode(). `text` is
  // the same at every call, though it may have moved.
  template <class Encode>
  void add(std::string_view text, std::size_t begin, std::size_t end, const Encode& encode) {
    const std::string_view word = text.substr(begin, end - begin);
    if (word.size() > kMaxWord) return encode();
    const TextKey key = text_key(word, 0);
    Slot& slot = slots_[key.hash & (slots_.size() - 1)];
    if (slot.last == key.last && slot.size == word.size() &&
        (word.size() <= TextKey::kWhole || text.substr(slot.begin, slot.size) == word)) {
      return copy(slot.ids_begin, slot.count);
    }
    const std::size_t at = ids_.size();
    encode();
    slot = {key.last, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(at),
            static_cast<std::uint16_t>(word.size()), static_cast<std::uint16_t>(ids_.size() - at)};
  }

 private:
  static constexpr std::size_t kMaxSlots = 1 << 15;
  static constexpr std::size_t kMaxWord = 256;  // at most one id a byte, so counts fit

  struct Slot {  // the last word of its hash; size 0 is an empty slot
    std::uint64_t last = 0;
    std::uint32_t begin = 0;
    std::uint32_t ids_begin = 0;
    std::uint16_t size = 0;
    std::uint16_t count = 0;
  };

  void copy(std::size_t from, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) ids_.push_back(ids_[from + i]);
  }

  std::vector<TokenId>& ids_;
  std::vector<Slot> slots_;
};

}  // namespace tyto::text
