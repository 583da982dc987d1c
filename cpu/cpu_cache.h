// The key/value pages of one model. Each cache is [layer][kv head][page][part], so that a head's
// consecutive pages lie side by side; parts are those of cache_layout.h.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "cpu/cache_layout.h"
#include "cpu/lowered.h"
#include "src/runtime.h"

namespace tyto::cpu {

class CpuCache final : public Cache {
 public:
  CpuCache(std::vector<CacheSpec> specs, CacheType type, std::span<const int> pages);

  // Bytes of the block to be given to use(); empty if that is beyond the address space.
  std::optional<std::uint64_t> bytes_needed() const noexcept { return needed_; }
  void use(LargeBlock block) noexcept { block_ = std::move(block); }

  std::uint64_t bytes() const noexcept override { return block_.size(); }
  Result<> copy_page(int cache, PageId from, PageId to) override;
  Result<> clear_page(int cache, PageId page, int first_slot) override;

  CacheType type() const noexcept { return type_; }
  int pages(int cache) const noexcept { return arenas_[static_cast<std::size_t>(cache)].pages; }
  std::size_t part_size(int cache) const noexcept {
    return arenas_[static_cast<std::size_t>(cache)].part;
  }
  // The part of page 0; those of the following pages lie part_size() apart.
  std::byte* parts(int cache, int layer, int kv_head) const noexcept {
    const Arena& arena = arenas_[static_cast<std::size_t>(cache)];
    const auto head = static_cast<std::size_t>(layer * arena.spec.kv_heads + kv_head);
    return block_.data() + arena.offset + head * static_cast<std::size_t>(arena.pages) * arena.part;
  }

 private:
  struct Arena {
    CacheSpec spec;
    int pages = 0;
    std::size_t part = 0, offset = 0;
  };
  const CacheType type_;
  std::vector<Arena> arenas_;
  std::optional<std::uint64_t> needed_;
  LargeBlock block_;
};

}  // namespace tyto::cpu
