#include "cuda/pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cuda/sizes.h"

namespace tyto::cuda {
namespace {

// Two pinned buffers that are filled in turn, each while the device reads the other. Everything
// happens in the order of one stream.
class Uploader {
 public:
  static Result<Uploader> create(int device, std::size_t bytes) {
    Uploader uploader;
    uploader.device_ = device;
    TYTO_TRY(uploader.stream_, new_stream(device));
    for (Buffer& buffer : uploader.buffers_) {
      TYTO_TRY(buffer.memory, PinnedMemory::allocate(device, bytes, "loading"));
      TYTO_TRY(buffer.sent, new_event(device));
    }
    return uploader;
  }
  // Memory to fill: once what was sent from it before has arrived.
  Result<std::byte*> next() {
    const DeviceScope scope(device_);
    turn_ = 1 - turn_;
    TYTO_CUDA_TRY(cudaEventSynchronize(buffers_[turn_].sent.get()));
    return buffers_[turn_].memory.data();
  }
  // From memory of next().
  Result<> send(const std::byte* from, std::size_t bytes, std::byte* to) {
    const DeviceScope scope(device_);
    TYTO_CUDA_TRY(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_.get()));
    return {};
  }
  Result<> sent() {  // all of the buffer
    const DeviceScope scope(device_);
    TYTO_CUDA_TRY(cudaEventRecord(buffers_[turn_].sent.get(), stream_.get()));
    return {};
  }
  Result<> finish() {
    const DeviceScope scope(device_);
    TYTO_CUDA_TRY(cudaStreamSynchronize(stream_.get()));
    return {};
  }
  int turn() const noexcept { return turn_; }  // of the two buffers
  int device() const noexcept { return device_; }
  cudaStream_t stream() const noexcept { return stream_.get(); }

 private:
  struct Buffer {
    PinnedMemory memory;
    Event sent;
  };
  Buffer buffers_[2];
  Stream stream_;
  int device_ = 0, turn_ = 0;
};

class Packing {
 public:
  Packing(const Plan& plan, const Lowered& lowered, const file::TensorSource& source,
          const PackOptions& options, Uploader& uploader, std::byte* to)
      : plan_(plan),
        lowered_(lowered),
        source_(source),
        options_(options),
        uploader_(uploader),
        to_(to) {}

  Result<> run() {
    TYTO_TRY(clear());
    for (std::size_t t = 0; t < lowered_.tensors.size(); ++t) {
      const PlacedTensor& placed = lowered_.tensors[t];
      if (placed.bytes == 0) continue;
      if (placed.matrix)
        TYTO_TRY(matrix(t, placed));
      else
        TYTO_TRY(vector(plan_.tensors[t], placed));
    }
    for (const PlacedRope& rope : lowered_.ropes) TYTO_TRY(frequencies(rope));
    if (options_.check_weights) TYTO_TRY(check());
    return tell(1);
  }

 private:
  static constexpr std::int32_t kNone = 0x7f7f7f7f;

  Result<> tell(double fraction) {
    if (options_.progress && !options_.progress(static_cast<float>(fraction)))
      return Error(ErrorCode::cancelled, "loading was cancelled by its progress callback");
    return {};
  }

  // Behind the width of a matrix are zeros.
  Result<> clear() {
    const DeviceScope scope(uploader_.device());
    TYTO_CUDA_TRY(cudaMemsetAsync(to_, 0, lowered_.not_finite, uploader_.stream()));
    TYTO_CUDA_TRY(cudaMemsetAsync(not_finite(), 0x7f, not_finite_bytes(), uploader_.stream()));
    return {};
  }

  // Rows as they are in the file, put into place by the device.
  Result<> matrix(std::size_t index, const PlacedTensor& placed) {
    TYTO_TRY(const file::TensorInfo* info, info_of(plan_.tensors[index]));
    const std::size_t row = file_row_bytes(*info->format, placed.width);
    const std::size_t at_once = std::max<std::size_t>(1, lowered_.piece_bytes / row);
    for (std::size_t first = 0; first < placed.rows; first += at_once) {
      const std::size_t count = std::min(at_once, placed.rows - first), bytes = count * row;
      TYTO_TRY(std::byte* const pinned, uploader_.next());
      TYTO_TRY(source_.read(*info, first * row, std::span(pinned, bytes)));
      std::byte* const staging =
          to_ + lowered_.staging + size(uploader_.turn()) * lowered_.piece_bytes;
      TYTO_TRY(uploader_.send(pinned, bytes, staging));
      const FileRows rows{staging,
                          row,
                          static_cast<int>(placed.width),
                          static_cast<int>(first),
                          static_cast<int>(count),
                          options_.check_weights ? not_finite() + index : nullptr};
      {
        const DeviceScope scope(uploader_.device());
        TYTO_CUDA_TRY(
            placed.matrix->pack(rows, placed.layout, to_ + placed.offset, uploader_.stream()));
      }
      TYTO_TRY(uploader_.sent());
      done_ += bytes;
      TYTO_TRY(tell(
          std::min(1.0, static_cast<double>(done_) / static_cast<double>(lowered_.weight_bytes))));
    }
    return {};
  }

  std::int32_t* not_finite() const {
    return reinterpret_cast<std::int32_t*>(to_ + lowered_.not_finite);
  }
  std::size_t not_finite_bytes() const { return lowered_.tensors.size() * sizeof(std::int32_t); }

  Result<> check() {
    std::vector<std::int32_t> rows(lowered_.tensors.size());
    {
      const DeviceScope scope(uploader_.device());
      TYTO_CUDA_TRY(cudaMemcpyAsync(rows.data(), not_finite(), not_finite_bytes(),
                                    cudaMemcpyDeviceToHost, uploader_.stream()));
    }
    TYTO_TRY(uploader_.finish());
    for (std::size_t t = 0; t < rows.size(); ++t)
      if (rows[t] != kNone)
        return fail(ErrorCode::bad_file, "tensor {}, row {}: a NaN or infinite weight",
                    plan_.tensors[t].name, rows[t]);
    return {};
  }

  Result<> read(const Tensor& tensor, const file::TensorInfo& info, std::size_t bytes) {
    bytes_.resize(bytes);
    TYTO_TRY(source_.read(info, 0, bytes_));
    const quant::Format& format = *info.format;
    if (options_.check_weights && !format.finite(bytes_.data(), bytes / size(format.block_bytes)))
      return fail(ErrorCode::bad_file, "tensor {}: a NaN or infinite weight", tensor.name);
    return {};
  }

  Result<> vector(const Tensor& tensor, const PlacedTensor& placed) {
    std::vector<float> values;
    TYTO_TRY(read_vector(tensor, placed.width, values));
    return send_small(values.data(), placed.bytes, to_ + placed.offset);
  }
  Result<> read_vector(const Tensor& tensor, std::size_t width, std::vector<float>& values) {
    values = tensor.computed;
    if (!values.empty()) return {};
    TYTO_TRY(const file::TensorInfo* info, info_of(tensor));
    values.resize(width);
    TYTO_TRY(read(tensor, *info, file_row_bytes(*info->format, width)));
    info->format->dequantize(bytes_.data(), bytes_.size() / size(info->format->block_bytes),
                             values.data());
    return {};
  }

  // theta^(-2 i / dims), scaled, and divided by the factors where there are some.
  Result<> frequencies(const PlacedRope& placed) {
    const Rope& rope = placed.rope;
    std::vector<double> out(size(rope.dims / 2));
    std::vector<float> factors;
    if (rope.factors)
      TYTO_TRY(read_vector(plan_.tensors[size(rope.factors.index)], out.size(), factors));
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] =
          std::pow(static_cast<double>(rope.theta), -2.0 * static_cast<double>(i) / rope.dims) *
          static_cast<double>(rope.scale);
      if (!factors.empty()) out[i] /= static_cast<double>(factors[i]);
    }
    return send_small(out.data(), out.size() * sizeof(double), to_ + placed.offset);
  }

  Result<> send_small(const void* from, std::size_t bytes, std::byte* to) {
    for (std::size_t at = 0; at < bytes; at += lowered_.piece_bytes) {
      const std::size_t count = std::min(lowered_.piece_bytes, bytes - at);
      TYTO_TRY(std::byte* const pinned, uploader_.next());
      std::memcpy(pinned, static_cast<const std::byte*>(from) + at, count);
      TYTO_TRY(uploader_.send(pinned, count, to + at));
      TYTO_TRY(uploader_.sent());
    }
    return {};
  }

  Result<const file::TensorInfo*> info_of(const Tensor& tensor) const {
    const file::TensorInfo* info = source_.find(tensor.name);
    if (!info || !info->format)
      return fail(ErrorCode::internal, "tensor {} left the file", tensor.name);
    return info;
  }

  const Plan& plan_;
  const Lowered& lowered_;
  const file::TensorSource& source_;
  const PackOptions& options_;
  Uploader& uploader_;
  std::byte* const to_;
  std::vector<std::byte> bytes_;  // of a vector, as the file has them
  std::size_t done_ = 0;          // bytes of matrices
};

}  // namespace

Result<std::unique_ptr<Weights>> pack_weights(const Plan& plan, Lowered lowered,
                                              const file::TensorSource& source,
                                              const PackOptions& options, int device) {
  auto weights = std::make_unique<CudaWeights>();
  TYTO_TRY(weights->memory, DeviceMemory::allocate(device, lowered.weight_bytes, "the weights"));
  weights->lowered = std::move(lowered);
  TYTO_TRY(Uploader uploader, Uploader::create(device, weights->lowered.piece_bytes));
  const Result<> packed =
      Packing(plan, weights->lowered, source, options, uploader, weights->memory.data()).run();
  TYTO_TRY(uploader.finish());  // before its buffers go, whatever happened
  if (!packed) return packed.error();
  return std::unique_ptr<Weights>(std::move(weights));
}

std::uint64_t pack_buffer_bytes(const Lowered& lowered) { return 2 * lowered.piece_bytes; }

}  // namespace tyto::cuda
