#include "cuda/cuda_backend.h"

#include <algorithm>
#include <vector>

#include "cuda/device.h"
#include "cuda/head.h"
#include "src/quant/q8_0/format.h"
#include "tyto/cuda.h"

namespace tyto::cuda {
namespace {

// The slice's only block, or what of the slice this backend lacks.
Result<const Head*> served_block(const Plan& plan, Slice slice) {
  static constexpr std::string_view kKinds[] = {"embed", "attention", "mlp", "head"};
  for (int b = slice.first; b < slice.last; ++b)
    if (!std::holds_alternative<Head>(plan.blocks[b]) || slice.last - slice.first > 1)
      return fail(ErrorCode::unsupported, "cuda: block {} is {}, and only a head alone is served",
                  b, kKinds[plan.blocks[b].index()]);
  if (slice.last - slice.first != 1) return Error(ErrorCode::unsupported, "cuda: an empty slice");
  const Head& head = std::get<Head>(plan.blocks[slice.first]);
  if (!head.norm.weight || head.norm.center || head.norm.bias)
    return fail(ErrorCode::unsupported, "cuda: block {}: the head's norm is not RMSNorm",
                slice.first);
  if (head.logits.bias || head.logits.first_row != 0)
    return fail(ErrorCode::unsupported, "cuda: block {}: the head has a bias or shares a tensor",
                slice.first);
  const Tensor& logits = plan.tensors[head.logits.weight.index];
  if (!logits.format || logits.format->gguf_type != quant::q8_0::format.gguf_type)
    return fail(ErrorCode::unsupported, "cuda: tensor {} is not q8_0", logits.name);
  return &head;
}

class HeadWeights : public Weights {
 public:
  std::uint64_t bytes() const noexcept override { return norm.size() + logits.size(); }
  DeviceBuffer norm;    // float [width]
  DeviceBuffer logits;  // Q8_0 [vocab, width]
};

// A head reads no keys: its pages hold nothing.
class EmptyCache : public Cache {
 public:
  std::uint64_t bytes() const noexcept override { return 0; }
  Result<> copy_page(int, PageId, PageId) override { return {}; }
  Result<> clear_page(int, PageId, int) override { return {}; }
};

struct Sizes {  // in bytes
  explicit Sizes(const Plan& plan, const Capacity& capacity)
      : norm(sizeof(float) * plan.width),
        weights(static_cast<std::size_t>(plan.vocab) * plan.width / quant::q8_0::Block::kValues *
                sizeof(quant::q8_0::Block)),
        stream(sizeof(float) * capacity.rows * plan.width),
        logits(sizeof(float) * capacity.outputs * plan.vocab) {}
  std::size_t norm, weights, stream, logits;
};

class HeadProgram : public Program {
 public:
  HeadProgram(int device, const Plan& plan, const Head& head, const HeadWeights& weights,
              const Capacity& capacity)
      : device_(device),
        width_(plan.width),
        vocab_(plan.vocab),
        eps_(head.norm.eps),
        capacity_(capacity),
        weights_(weights) {}

  Result<> allocate(const Sizes& sizes) {
    TYTO_TRY(stream_, DeviceBuffer::allocate(device_, sizes.stream));
    TYTO_TRY(normed_, DeviceBuffer::allocate(device_, sizes.stream));
    TYTO_TRY(logits_, DeviceBuffer::allocate(device_, sizes.logits));
    return {};
  }

  std::uint64_t bytes() const noexcept override {
    return stream_.size() + normed_.size() + logits_.size();
  }

  Result<> start(const StepInput& input, std::span<const Output> outputs) override {
    const auto rows = input.rows.size();
    if (rows > static_cast<std::size_t>(capacity_.rows) ||
        outputs.size() > static_cast<std::size_t>(capacity_.outputs) ||
        input.hidden.size() != rows * width_)
      return fail(ErrorCode::internal, "cuda: a step of {} rows, {} hidden values, {} outputs",
                  rows, input.hidden.size(), outputs.size());
    const DeviceScope scope(device_);
    TYTO_CUDA_TRY(cudaMemcpy(stream_.as<float>(), input.hidden.data(), input.hidden.size_bytes(),
                             cudaMemcpyHostToDevice));
    rows_ = static_cast<int>(rows);
    outputs_.assign(outputs.begin(), outputs.end());
    return {};
  }

  Result<bool> work(Clock::time_point) override {  // one block has no border inside
    const DeviceScope scope(device_);
    TYTO_CUDA_TRY(rms_norm(stream_.as<float>(), weights_.norm.as<float>(), rows_, width_, eps_,
                           normed_.as<float>(), cudaStreamLegacy));
    for (std::size_t i = 0; i < outputs_.size(); ++i)
      TYTO_CUDA_TRY(
          gemv_q8_0(weights_.logits.as<std::byte>(),
                    normed_.as<float>() + static_cast<std::size_t>(outputs_[i].row) * width_,
                    vocab_, width_, logits_.as<float>() + i * vocab_, cudaStreamLegacy));
    return true;
  }

  Result<> finish() override {
    const DeviceScope scope(device_);
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const Output& output = outputs_[i];
      const float* from = output.want == Want::logits
                              ? logits_.as<float>() + i * vocab_
                              : stream_.as<float>() + static_cast<std::size_t>(output.row) * width_;
      TYTO_CUDA_TRY(cudaMemcpy(output.values.data(), from, output.values.size_bytes(),
                               cudaMemcpyDeviceToHost));
    }
    return {};
  }

 private:
  const int device_, width_, vocab_;
  const float eps_;
  const Capacity capacity_;
  const HeadWeights& weights_;
  DeviceBuffer stream_, normed_, logits_;  // [rows, width] twice, [outputs, vocab]

  // The step under way.
  int rows_ = 0;
  std::vector<Output> outputs_;
};

class CudaBackend : public Backend {
 public:
  explicit CudaBackend(int device) : device_(device), name_(fmt::format("cuda:{}", device)) {}

  std::string_view name() const noexcept override { return name_; }

  Result<Footprint> footprint(const Plan& plan, Slice slice, CacheType,
                              const Capacity& capacity) const override {
    TYTO_TRY(served_block(plan, slice));
    const Sizes sizes(plan, capacity);
    Footprint footprint;
    footprint.weights = sizes.norm + sizes.weights;
    footprint.workspace = 2 * sizes.stream + sizes.logits;
    footprint.page.resize(plan.caches.size());
    return footprint;
  }

  Result<std::unique_ptr<Weights>> pack(const Plan& plan, Slice slice,
                                        const file::TensorSource& source,
                                        const PackOptions& options) override {
    TYTO_TRY(const Head* head, served_block(plan, slice));
    auto weights = std::make_unique<HeadWeights>();
    TYTO_TRY(weights->norm, upload(source, plan.tensors[head->norm.weight.index], options, true));
    TYTO_TRY(weights->logits,
             upload(source, plan.tensors[head->logits.weight.index], options, false));
    if (options.progress && !options.progress(1))
      return Error(ErrorCode::cancelled, "loading was cancelled by its progress callback");
    return std::unique_ptr<Weights>(std::move(weights));
  }

  Result<std::unique_ptr<Cache>> new_cache(const Plan& plan, Slice slice, CacheType,
                                           std::span<const int>) override {
    TYTO_TRY(served_block(plan, slice));
    return std::unique_ptr<Cache>(std::make_unique<EmptyCache>());
  }

  Result<std::unique_ptr<Program>> compile(const Plan& plan, Slice slice, const Weights& weights,
                                           Cache&, const Capacity& capacity) override {
    TYTO_TRY(const Head* head, served_block(plan, slice));
    auto program = std::make_unique<HeadProgram>(
        device_, plan, *head, static_cast<const HeadWeights&>(weights), capacity);
    TYTO_TRY(program->allocate(Sizes(plan, capacity)));
    return std::unique_ptr<Program>(std::move(program));
  }

 private:
  // A tensor's bytes as the file holds them, or its values as floats, on the device.
  Result<DeviceBuffer> upload(const file::TensorSource& source, const Tensor& tensor,
                              const PackOptions& options, bool as_floats) const {
    const file::TensorInfo* info = source.find(tensor.name);
    if (!info || !info->format)
      return fail(ErrorCode::internal, "tensor {} left the file", tensor.name);
    const quant::Format& format = *info->format;
    std::vector<std::byte> bytes(info->bytes);
    TYTO_TRY(source.read(*info, 0, bytes));
    const std::size_t blocks = bytes.size() / format.block_bytes;
    if (options.check_weights && !format.finite(bytes.data(), blocks))
      return fail(ErrorCode::bad_file, "tensor {} holds NaN or infinity", tensor.name);
    std::vector<float> values(as_floats ? blocks * format.block_values : 0);
    if (as_floats) format.dequantize(bytes.data(), blocks, values.data());
    const auto content =
        as_floats ? std::as_bytes(std::span(values)) : std::span<const std::byte>(bytes);
    TYTO_TRY(DeviceBuffer buffer, DeviceBuffer::allocate(device_, content.size()));
    const DeviceScope scope(device_);
    TYTO_CUDA_TRY(
        cudaMemcpy(buffer.as<std::byte>(), content.data(), content.size(), cudaMemcpyHostToDevice));
    return buffer;
  }

  const int device_;
  const std::string name_;
};

}  // namespace

Result<std::unique_ptr<Backend>> new_cuda_backend(int device) {
  TYTO_TRY(const auto devices, cuda_devices());
  if (device < 0 || static_cast<std::size_t>(device) >= devices.size())
    return fail(ErrorCode::unsupported, "cuda:{}: this machine has {} CUDA devices", device,
                devices.size());
  return std::unique_ptr<Backend>(std::make_unique<CudaBackend>(device));
}

}  // namespace tyto::cuda
