#include "cuda/cuda_backend.h"

#include "cuda/cuda_program.h"
#include "cuda/pack.h"
#include "src/accelerator.h"
#include "tyto/cuda.h"

namespace tyto::cuda {
namespace {

class CudaBackend : public Backend {
 public:
  explicit CudaBackend(std::shared_ptr<const Queue> queue)
      : queue_(std::move(queue)), name_(fmt::format("cuda:{}", queue_->device)) {}

  std::string_view name() const noexcept override { return name_; }

  Result<Footprint> footprint(const Plan& plan, Slice slice, CacheType type,
                              const Capacity& capacity) const override {
    TYTO_TRY(check_cache(type));
    TYTO_TRY(const Lowered lowered, lower(plan, slice, queue_->order));
    Footprint footprint;
    footprint.weights = lowered.weight_bytes;
    const Workspace workspace(plan, slice, lowered, capacity, queue_->order);
    footprint.workspace = workspace.bytes;
    footprint.own_memory = true;
    footprint.loading = pack_buffer_bytes(lowered) + workspace.step.hidden;
    for (const CacheSpec& spec : plan.caches)
      footprint.page.push_back(cache_shape(spec, type).page_bytes);
    return footprint;
  }

  Result<std::unique_ptr<Weights>> pack(const Plan& plan, Slice slice,
                                        const file::TensorSource& source,
                                        const PackOptions& options) override {
    TYTO_TRY(Lowered lowered, lower(plan, slice, queue_->order));
    return pack_weights(plan, std::move(lowered), source, options, queue_->device);
  }

  Result<std::unique_ptr<Cache>> new_cache(const Plan& plan, Slice, CacheType type,
                                           std::span<const int> pages) override {
    TYTO_TRY(auto cache, CudaCache::create(plan, type, pages, queue_));
    return std::unique_ptr<Cache>(std::move(cache));
  }

  Result<std::unique_ptr<Program>> compile(const Plan& plan, Slice slice, const Weights& weights,
                                           Cache& cache, const Capacity& capacity) override {
    return new_cuda_program(plan, slice, static_cast<const CudaWeights&>(weights),
                            static_cast<const CudaCache&>(cache), capacity, queue_);
  }

 private:
  const std::shared_ptr<const Queue> queue_;
  const std::string name_;
};

class CudaDevices : public Accelerator {
 public:
  explicit CudaDevices(const CudaOptions& options) : options_(options) {}
  std::string_view kind() const noexcept override { return "cuda"; }
  Result<std::unique_ptr<Backend>> open(int device) const override {
    return new_cuda_backend(device, options_);
  }

 private:
  const CudaOptions options_;
};

}  // namespace

Result<std::unique_ptr<Backend>> new_cuda_backend(int device, const CudaOptions& options) {
  TYTO_TRY(const auto devices, cuda_devices());
  if (device < 0 || static_cast<std::size_t>(device) >= devices.size())
    return fail(ErrorCode::unsupported, "cuda:{}: this machine has {} CUDA devices", device,
                devices.size());
  auto queue = std::make_shared<Queue>();
  queue->device = device;
  queue->multiprocessors = devices[static_cast<std::size_t>(device)].multiprocessors;
  queue->order = options.reproducible ? Order::reproducible : Order::fastest;
  TYTO_TRY(queue->stream, new_stream(device, options.high_priority));
  return std::unique_ptr<Backend>(std::make_unique<CudaBackend>(std::move(queue)));
}

}  // namespace tyto::cuda

namespace tyto {
inline namespace v1 {

std::shared_ptr<const Accelerator> cuda_accelerator(const CudaOptions& options) noexcept {
  try {
    return std::make_shared<cuda::CudaDevices>(options);
  } catch (...) {
    return {};
  }
}

}  // namespace v1
}  // namespace tyto
