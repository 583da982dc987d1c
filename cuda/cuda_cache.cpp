#include "cuda/cuda_cache.h"

#include "cuda/sizes.h"

namespace tyto::cuda {

Result<std::unique_ptr<CudaCache>> CudaCache::create(const Plan& plan, CacheType type,
                                                     std::span<const int> pages,
                                                     std::shared_ptr<const Queue> queue) {
  TYTO_TRY(check_cache(type));
  auto cache = std::make_unique<CudaCache>();
  for (std::size_t c = 0; c < plan.caches.size(); ++c) {
    const CacheSpec& spec = plan.caches[c];
    Arena arena;
    arena.view = cache_shape(spec, type);
    arena.view.index = static_cast<int>(c);
    arena.heads = spec.layers * spec.kv_heads;
    arena.pages = pages[c];
    TYTO_TRY(arena.memory, DeviceMemory::allocate(
                               queue->device, arena.view.page_bytes * size(pages[c]), "the cache"));
    arena.view.data = arena.memory.data();
    cache->arenas_.push_back(std::move(arena));
  }
  cache->queue_ = std::move(queue);
  return cache;
}

std::uint64_t CudaCache::bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const Arena& arena : arenas_) bytes += arena.memory.size();
  return bytes;
}

Result<> CudaCache::copy_page(int cache, PageId from, PageId to) {
  const DeviceScope scope(queue_->device);
  const CacheView& view = arenas_[size(cache)].view;
  TYTO_CUDA_TRY(cudaMemcpyAsync(view.data + to * view.page_bytes,
                                view.data + from * view.page_bytes, view.page_bytes,
                                cudaMemcpyDeviceToDevice, queue_->stream.get()));
  return {};
}

Result<> CudaCache::clear_page(int cache, PageId page, int first_slot) {
  const DeviceScope scope(queue_->device);
  const Arena& arena = arenas_[size(cache)];
  const std::size_t slot = arena.view.slot_bytes, skipped = size(first_slot);
  std::byte* const at = arena.view.data + page * arena.view.page_bytes + skipped * slot;
  TYTO_CUDA_TRY(cudaMemset2DAsync(at, slot * kPageTokens, 0, slot * (kPageTokens - skipped),
                                  size(arena.heads), queue_->stream.get()));
  return {};
}

std::vector<int> CudaCache::pages() const {
  std::vector<int> pages;
  for (const Arena& arena : arenas_) pages.push_back(arena.pages);
  return pages;
}

CacheView CudaCache::view(int cache, int layer) const noexcept {
  CacheView view = arenas_[size(cache)].view;
  view.layer = layer;
  return view;
}

}  // namespace tyto::cuda
