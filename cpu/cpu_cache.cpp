#include "cpu/cpu_cache.h"

#include <cstring>

#include "src/base/checked.h"
#include "src/base/error.h"

namespace tyto::cpu {

std::size_t element_bytes(CacheType type) noexcept { return type == CacheType::f32 ? 4 : 2; }

std::size_t part_bytes(const CacheSpec& spec, CacheType type) noexcept {
  return static_cast<std::size_t>(spec.key_dim + spec.value_dim) * kPageTokens *
         element_bytes(type);
}

CpuCache::CpuCache(std::vector<CacheSpec> specs, CacheType type, std::span<const int> pages)
    : type_(type) {
  Checked total(0);
  for (std::size_t c = 0; c < specs.size(); ++c) {
    const std::size_t part = part_bytes(specs[c], type);
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
  const std::size_t element = element_bytes(type_);
  const auto slot = static_cast<std::size_t>(first_slot), cleared = kPageTokens - slot;
  const auto key_dim = static_cast<std::size_t>(arena.spec.key_dim);
  const auto value_dim = static_cast<std::size_t>(arena.spec.value_dim);
  for (int layer = 0; layer < arena.spec.layers; ++layer) {
    for (int head = 0; head < arena.spec.kv_heads; ++head) {
      std::byte* const keys = parts(cache, layer, head) + page * arena.part;
      if (slot == 0) {
        std::memset(keys, 0, arena.part);
        continue;
      }
      for (std::size_t d = 0; d < key_dim; ++d)
        std::memset(keys + (d * kPageTokens + slot) * element, 0, cleared * element);
      std::byte* const values = keys + key_dim * kPageTokens * element;
      std::memset(values + slot * value_dim * element, 0, cleared * value_dim * element);
    }
  }
  return {};
}

}  // namespace tyto::cpu
