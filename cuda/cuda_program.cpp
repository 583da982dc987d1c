#include "cuda/cuda_program.h"

#include <algorithm>
#include <cstring>

#include "cuda/block_kernels.h"
#include "cuda/sizes.h"
#include "src/step_limits.h"

namespace tyto::cuda {
namespace {

class CudaProgram : public Program {
 public:
  CudaProgram(const Plan& plan, Slice slice, const CudaWeights& weights, StepLimits limits,
              std::shared_ptr<const Queue> queue)
      : context_(plan.context),
        limits_(std::move(limits)),
        places_(plan, slice, weights.lowered, limits_.capacity, queue->order),
        queue_(std::move(queue)) {
    outputs_.reserve(size(limits_.capacity.outputs));
  }
  ~CudaProgram() override {
    const DeviceScope scope(queue_->device);
    cudaStreamSynchronize(stream());  // a step under way uses what is freed now
  }

  Result<> prepare(const Plan& plan, Slice slice, const CudaWeights& weights,
                   const CudaCache& cache) {
    const DeviceScope scope(queue_->device);
    TYTO_TRY(workspace_, DeviceMemory::allocate(queue_->device, places_.bytes, "the workspace"));
    TYTO_TRY(image_,
             PinnedMemory::allocate(queue_->device, places_.step.hidden, "a step's tables"));
    TYTO_TRY(tops_,
             PinnedMemory::allocate(queue_->device, places_.top_bytes, "the highest logits"));
    std::shared_ptr<const Blas> blas;
    if (places_.blas > 0) {
      TYTO_TRY(blas, Blas::open(queue_->device));
    }
    blocks_ = block_kernels(plan, slice, weights.lowered, weights.memory.data(), cache, places_,
                            workspace_.data(), *queue_, std::move(blas));
    next_ = blocks_.size();
    // A step of no rows first, since a kernel's code may be loaded when it first runs, and not
    // while a graph is captured.
    TYTO_CUDA_TRY(cudaMemsetAsync(workspace_.data(), 0, places_.step.hidden, stream()));
    for (const Bucket& bucket : all_buckets(limits_.capacity)) {
      TYTO_CUDA_TRY(queue_all(bucket));
      TYTO_CUDA_TRY(cudaStreamSynchronize(stream()));
      TYTO_TRY(ReadyGraph graph, capture(bucket));
      TYTO_CUDA_TRY(cudaGraphUpload(graph.get(), stream()));
      graphs_.push_back({bucket, std::move(graph)});
    }
    TYTO_CUDA_TRY(cudaStreamSynchronize(stream()));
    return {};
  }

  std::uint64_t bytes() const noexcept override { return workspace_.size(); }
  bool ranks() const noexcept override { return limits_.ranks; }

  Result<> start(const StepInput& input, std::span<const Output> outputs) override {
    next_ = blocks_.size();  // nothing to do, if this fails
    outputs_.clear();
    TYTO_TRY(limits_.check(input, outputs));
    const DeviceScope scope(queue_->device);
    TYTO_CUDA_TRY(cudaStreamSynchronize(stream()));  // a step that is dropped reads the image
    const auto logits = std::count_if(outputs.begin(), outputs.end(), [](const Output& output) {
      return output.want != Want::hidden;
    });
    bucket_ =
        bucket_of(static_cast<int>(input.rows.size()), static_cast<int>(logits), limits_.capacity);
    const std::size_t used = write_step(places_.step, input, outputs, cut(bucket_), image_.data());
    TYTO_CUDA_TRY(
        cudaMemcpyAsync(workspace_.data(), image_.data(), used, cudaMemcpyHostToDevice, stream()));
    if (!input.hidden.empty()) {
      TYTO_CUDA_TRY(cudaMemcpyAsync(workspace_.data() + places_.step.hidden, input.hidden.data(),
                                    input.hidden.size_bytes(), cudaMemcpyHostToDevice, stream()));
      TYTO_CUDA_TRY(cudaStreamSynchronize(stream()));  // the caller's values may go now
    }
    outputs_.assign(outputs.begin(), outputs.end());
    next_ = 0;
    return {};
  }

  // Without a deadline the whole step is one graph; with one it stops at borders of blocks.
  Result<bool> work(Clock::time_point until) override {
    const DeviceScope scope(queue_->device);
    if (next_ == 0 && until == Clock::time_point::max()) {
      TYTO_CUDA_TRY(cudaGraphLaunch(graph_of(bucket_), stream()));
      next_ = blocks_.size();
    }
    while (next_ < blocks_.size()) {
      TYTO_CUDA_TRY(queue_block(blocks_[next_], bucket_));
      ++next_;
      if (until == Clock::time_point::max()) continue;
      TYTO_CUDA_TRY(cudaStreamSynchronize(stream()));
      if (Clock::now() >= until && next_ < blocks_.size()) return false;
    }
    return true;
  }

  Result<> finish() override {
    const DeviceScope scope(queue_->device);
    const Result<> queued = copy_outputs();
    // In any case: what was queued writes to the caller's memory.
    TYTO_CUDA_TRY(cudaStreamSynchronize(stream()));
    TYTO_TRY(queued);
    std::size_t logits = 0;
    for (const Output& output : outputs_) {
      if (output.want == Want::hidden) continue;
      if (output.want == Want::top)
        std::memcpy(output.top, tops_.data() + logits * sizeof(TopLogits), sizeof(TopLogits));
      ++logits;
    }
    return {};
  }

 private:
  cudaStream_t stream() const noexcept { return queue_->stream.get(); }

  Cut cut(const Bucket& bucket) const noexcept {
    const int count = splits_of(context_, bucket.rows, queue_->order);
    return {count, queue_->order == Order::reproducible ? split_length(context_, count) : 0};
  }

  // The highest logits in one piece, which is sent while others are.
  Result<> copy_outputs() const {
    std::size_t logits = 0, tops = 0;
    for (const Output& output : outputs_) {
      const std::size_t number = output.want == Want::hidden ? 0 : logits++;
      if (output.want == Want::top) {
        tops = logits;
        continue;
      }
      const std::size_t bytes = output.values.size_bytes();
      const std::size_t first = output.want == Want::hidden
                                    ? places_.stream + size(output.row) * bytes
                                    : places_.logits + number * bytes;
      TYTO_CUDA_TRY(cudaMemcpyAsync(output.values.data(), workspace_.data() + first, bytes,
                                    cudaMemcpyDeviceToHost, stream()));
    }
    if (tops > 0)
      TYTO_CUDA_TRY(cudaMemcpyAsync(tops_.data(), workspace_.data() + places_.top,
                                    tops * sizeof(TopLogits), cudaMemcpyDeviceToHost, stream()));
    return {};
  }

  cudaError_t queue_block(const std::vector<Kernel>& block, const Bucket& bucket) const {
    for (const Kernel& kernel : block)
      if (const cudaError_t code = kernel(bucket, stream()); code != cudaSuccess) return code;
    return cudaSuccess;
  }
  cudaError_t queue_all(const Bucket& bucket) const {
    for (const std::vector<Kernel>& block : blocks_)
      if (const cudaError_t code = queue_block(block, bucket); code != cudaSuccess) return code;
    return cudaSuccess;
  }
  Result<ReadyGraph> capture(const Bucket& bucket) const {
    TYTO_CUDA_TRY(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal));
    const cudaError_t failed = queue_all(bucket);
    cudaGraph_t captured = nullptr;
    const cudaError_t ended = cudaStreamEndCapture(stream(), &captured);
    const Graph graph(queue_->device, captured);
    if (failed != cudaSuccess) return error(failed, "a kernel of a graph");
    if (ended != cudaSuccess) return error(ended, "cudaStreamEndCapture");
    cudaGraphExec_t ready = nullptr;
    TYTO_CUDA_TRY(cudaGraphInstantiate(&ready, captured, 0));
    return ReadyGraph(queue_->device, ready);
  }
  cudaGraphExec_t graph_of(const Bucket& bucket) const {
    for (const auto& [known, graph] : graphs_)
      if (known == bucket) return graph.get();
    return nullptr;  // not reached: all_buckets() has every one
  }

  const int context_;
  const StepLimits limits_;
  const Workspace places_;
  const std::shared_ptr<const Queue> queue_;
  DeviceMemory workspace_;
  PinnedMemory image_;
  PinnedMemory tops_;  // [output]
  std::vector<std::vector<Kernel>> blocks_;
  std::vector<std::pair<Bucket, ReadyGraph>> graphs_;

  // The step under way.
  std::vector<Output> outputs_;
  Bucket bucket_;
  std::size_t next_ = 0;  // block
};

}  // namespace

Result<std::unique_ptr<Program>> new_cuda_program(const Plan& plan, Slice slice,
                                                  const CudaWeights& weights,
                                                  const CudaCache& cache, const Capacity& capacity,
                                                  std::shared_ptr<const Queue> queue) {
  StepLimits limits(plan, slice, capacity, cache.pages(), true);
  auto program =
      std::make_unique<CudaProgram>(plan, slice, weights, std::move(limits), std::move(queue));
  TYTO_TRY(program->prepare(plan, slice, weights, cache));
  return std::unique_ptr<Program>(std::move(program));
}

}  // namespace tyto::cuda
