#include "src/pages.h"

#include "src/base/error.h"

namespace tyto {

PagePool::PagePool(Cache& cache, std::vector<int> pages) : cache_(cache), arenas_(pages.size()) {
  for (std::size_t c = 0; c < pages.size(); ++c) {
    arenas_[c].holders.assign(pages[c], 0);
    arenas_[c].free.reserve(pages[c]);
    for (int page = pages[c]; page-- > 0;) arenas_[c].free.push_back(static_cast<PageId>(page));
  }
}

Result<PageId> PagePool::take(int cache) {
  Arena& arena = arenas_[cache];
  if (arena.free.empty())
    return fail(ErrorCode::limit,
                "the model's cache of {} tokens is spent; ModelOptions::cache_tokens sets its size",
                arena.holders.size() * kPageTokens);
  const PageId page = arena.free.back();
  arena.free.pop_back();
  arena.holders[page] = 1;
  return page;
}

void PagePool::drop(int cache, PageId page) noexcept {
  if (--arenas_[cache].holders[page] == 0)
    arenas_[cache].free.push_back(page);  // within its reserve
}

// used_slots: how many slots of the page hold tokens; a copy is zeroed behind them.
Result<> PagePool::make_page_writable(PageTable& table, int cache, std::size_t index,
                                      std::size_t used_slots) {
  PageId& page = table[cache][index];
  if (arenas_[cache].holders[page] == 1) return {};
  TYTO_TRY(const PageId copy, take(cache));
  auto copied = cache_.copy_page(cache, page, copy);
  if (copied && used_slots < kPageTokens)
    copied = cache_.clear_page(cache, copy, static_cast<int>(used_slots));
  if (!copied) {
    drop(cache, copy);
    return copied;
  }
  drop(cache, page);
  page = copy;
  return {};
}

Result<> PagePool::make_writable(PageTable& table, std::size_t first, std::size_t last) {
  for (int cache = 0; cache < static_cast<int>(table.size()); ++cache) {
    std::vector<PageId>& pages = table[cache];
    const std::size_t held = pages.size();
    Result<> result;
    const std::size_t begin = first / kPageTokens, end = (last + kPageTokens - 1) / kPageTokens;
    for (std::size_t index = begin; index < end && result; ++index) {
      if (index < held) {
        // Only the first page of the range can hold tokens already.
        result = make_page_writable(table, cache, index, index == begin ? first % kPageTokens : 0);
        continue;
      }
      auto page = take(cache);
      if (!page) {
        result = page.error();
        break;
      }
      pages.push_back(*page);
      result = cache_.clear_page(cache, *page, 0);
    }
    if (!result) {
      for (; pages.size() > held; pages.pop_back()) drop(cache, pages.back());
      return result;
    }
  }
  return {};
}

Result<> PagePool::shrink(PageTable& table, std::size_t length) {
  const std::size_t keep = (length + kPageTokens - 1) / kPageTokens;
  for (int cache = 0; cache < static_cast<int>(table.size()); ++cache) {
    std::vector<PageId>& pages = table[cache];
    for (; pages.size() > keep; pages.pop_back()) drop(cache, pages.back());
    const int used = static_cast<int>(length % kPageTokens);
    if (used != 0 && pages.size() == keep && arenas_[cache].holders[pages.back()] == 1)
      TYTO_TRY(cache_.clear_page(cache, pages.back(), used));
  }
  return {};
}

void PagePool::share(const PageTable& other, PageTable& table) {
  for (std::size_t cache = 0; cache < other.size(); ++cache)
    for (const PageId page : other[cache]) {
      table[cache].push_back(page);
      ++arenas_[cache].holders[page];
    }
}

void PagePool::release(PageTable& table) noexcept {
  for (int cache = 0; cache < static_cast<int>(table.size()); ++cache)
    for (std::vector<PageId>& pages = table[cache]; !pages.empty(); pages.pop_back())
      drop(cache, pages.back());
}

}  // namespace tyto
