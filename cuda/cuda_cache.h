// The page arenas of a model in device memory (blocks/blocks.h has their layout).
#pragma once
#include <memory>

#include "cuda/lowered.h"
#include "cuda/queue.h"

namespace tyto::cuda {

class CudaCache : public Cache {
 public:
  static Result<std::unique_ptr<CudaCache>> create(const Plan& plan, CacheType type,
                                                   std::span<const int> pages,
                                                   std::shared_ptr<const Queue> queue);
  std::uint64_t bytes() const noexcept override;
  Result<> copy_page(int cache, PageId from, PageId to) override;
  Result<> clear_page(int cache, PageId page, int first_slot) override;

  std::vector<int> pages() const;  // of each arena
  // As the kernels of a layer see it.
  CacheView view(int cache, int layer) const noexcept;

 private:
  struct Arena {
    DeviceMemory memory;
    CacheView view;
    int pages = 0, heads = 0;  // heads: of all layers
  };
  std::vector<Arena> arenas_;
  std::shared_ptr<const Queue> queue_;
};

}  // namespace tyto::cuda
