// Who holds which cache pages: reference counts and copy-on-write. Bytes belong to the backend's
// Cache.
#pragma once
#include <vector>

#include "src/backend.h"

namespace tyto {

// The pages one session holds, per Plan::caches.
using PageTable = std::vector<std::vector<PageId>>;

// Not thread-safe: the engine's lock covers it, and keeps it apart from steps.
class PagePool {
 public:
  PagePool(Cache& cache, std::vector<int> pages);

  // Makes slots [first, last) of `table` writable: adds zeroed pages at its end, and copies those
  // that it shares. `limit` when the cache is spent; the table is then as it was.
  Result<> make_writable(PageTable& table, std::size_t first, std::size_t last);
  // Drops every slot from `length` on; what stays of the last page is zeroed behind it, unless it
  // is shared.
  Result<> shrink(PageTable& table, std::size_t length);
  // Adds `other` as a second holder of its pages. table is empty.
  void share(const PageTable& other, PageTable& table);
  void release(PageTable& table) noexcept;

 private:
  struct Arena {
    std::vector<int> holders;  // per page
    std::vector<PageId> free;
  };
  Result<PageId> take(int cache);
  void drop(int cache, PageId page) noexcept;
  Result<> make_page_writable(PageTable& table, int cache, std::size_t index,
                              std::size_t used_slots);

  Cache& cache_;
  std::vector<Arena> arenas_;  // per Plan::caches
};

}  // namespace tyto
