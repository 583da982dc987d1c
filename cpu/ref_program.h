// The reference backend's parts, shared by its two source files.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "cpu/cache_layout.h"
#include "src/runtime.h"

namespace tyto::cpu {

class RefWeights : public Weights {
 public:
  std::uint64_t bytes() const noexcept override { return block.size(); }
  const float* operator[](TensorId id) const noexcept {  // null: absent
    return id ? reinterpret_cast<const float*>(block.data()) + first[id.index] : nullptr;
  }

  LargeBlock block;
  std::vector<std::size_t> first;  // per Plan::tensors: where its floats begin
};

// All pages of all caches, float32 whatever the cache type: values are rounded to that type when
// they are written. A page: [layer][kv head][slot][key_dim + value_dim].
class RefCache : public Cache {
 public:
  RefCache(const Plan& plan, CacheType cache_type, std::span<const int> pages);
  std::uint64_t bytes() const noexcept override { return block.size(); }
  Result<> copy_page(int cache, PageId from, PageId to) override;
  Result<> clear_page(int cache, PageId page, int first_slot) override;

  float* slot(int cache, PageId page, int layer, int kv_head, int slot) const noexcept;
  // n values of one token as the cache type holds them.
  void round(const float* values, int n, float* out) const noexcept;
  std::size_t page_floats(int cache) const noexcept;

  CacheType type;
  std::vector<CacheSpec> specs;
  std::vector<std::size_t> first;  // per cache: where its pages begin, in floats
  std::size_t floats = 0;
  LargeBlock block;
};

// Floats of workspace that one step of `capacity` needs.
std::size_t ref_workspace_floats(const Plan& plan, Slice slice, const Capacity& capacity);

std::unique_ptr<Program> new_ref_program(const Plan& plan, Slice slice, const RefWeights& weights,
                                         RefCache& cache, const Capacity& capacity,
                                         LargeBlock workspace);

}  // namespace tyto::cpu
