#include "cpu/cpu_cache.h"

#include <cstring>

#include "src/base/checked.h"
#include "src/base/error.h"

namespace tyto::cpu {
namespace {

// Clears slots from `slot` on, of keys [key_rows][kPageTokens] and values [kPageTokens][value_row].
void clear_slots(std::byte* keys, std::size_t key_rows, std::byte* values, std::size_t value_row,
                 std::size_t element, std::size_t slot) noexcept {
  const std::size_t cleared = kPageTokens - slot;
  for (std::size_t d = 0; d < key_rows; ++d)
    std::memset(keys + (d * kPageTokens + slot) * element, 0, cleared * element);
  std::memset(values + slot * value_row * element, 0, cleared * value_row * element);
}

}  // namespace

CpuCache::CpuCache(std::vector<CacheSpec> specs, CacheType type, std::span<const int> pages)
    : type_(type) {
  Checked total(0);
  for (std::size_t c = 0; c < specs.size(); ++c) {
    const std::size_t part = part_layout(type, specs[c].key_dim, specs[c].value_dim).bytes;
    arenas_.push_back(
        {specs[c], pages[c], part, static_cast<std::size_t>(total.get().value_or(0))});
    const auto heads =
        static_cast<std::uint64_t>(specs[c].layers) * static_cast<unsigned>(specs[c].kv_heads);
    total = total + Checked(heads) * Checked(static_cast<std::uint64_t>(pages[c])) * Checked(part);
  }
  needed_ = total.get();
}

Result<> CpuCache::copy_page(int cache, PageId from, PageId to) {
  const Arena& arena = arenas_[static_cast<std::size_t>(cache)];
  for (int layer = 0; layer < arena.spec.layers; ++layer) {
    for (int head = 0; head < arena.spec.kv_heads; ++head) {
      std::byte* const first = parts(cache, layer, head);
      std::memcpy(first + to * arena.part, first + from * arena.part, arena.part);
    }
  }
  return {};
}

Result<> CpuCache::clear_page(int cache, PageId page, int first_slot) {
  const Arena& arena = arenas_[static_cast<std::size_t>(cache)];
  const PartLayout layout = part_layout(type_, arena.spec.key_dim, arena.spec.value_dim);
  for (int layer = 0; layer < arena.spec.layers; ++layer) {
    for (int head = 0; head < arena.spec.kv_heads; ++head) {
      std::byte* const part = parts(cache, layer, head) + page * arena.part;
      if (first_slot == 0)
        std::memset(part, 0, arena.part);
      else if (is_quantized(type_))
        clear_slots(part + layout.key_scales, layout.key_groups, part + layout.value_scales,
                    layout.value_groups, sizeof(float), static_cast<std::size_t>(first_slot));
      else
        clear_slots(part, static_cast<std::size_t>(arena.spec.key_dim), part + layout.values,
                    static_cast<std::size_t>(arena.spec.value_dim),
                    static_cast<std::size_t>(cache_bits(type_)) / 8,
                    static_cast<std::size_t>(first_slot));
    }
  }
  return {};
}

}  // namespace tyto::cpu
