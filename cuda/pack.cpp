#include "cuda/pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cuda/sizes.h"

namespace tyto::cuda {
namespace {

constexpr std::size_t kPieceBytes = 4 << 20;

std::size_t row_bytes(const MatrixLayout& layout) {  // of all planes
  std::size_t bytes = 0;
  for (const Plane& plane : layout.planes) bytes += plane.row_bytes;
  return bytes;
}
std::size_t file_row_bytes(const quant::Format& format, std::size_t width) {
  return width / size(format.block_values) * size(format.block_bytes);
}

// The longest row there is, or an ordinary piece.
std::size_t piece_bytes(const Lowered& lowered) {
  std::size_t most = kPieceBytes;
  for (const PlacedTensor& tensor : lowered.tensors)
    if (tensor.matrix)
      most = std::max(
          {most, row_bytes(tensor.layout), file_row_bytes(*tensor.matrix->format, tensor.width)});
  return most;
}

// Two pinned buffers that are filled in turn, each while the device reads the other.
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
  Result<> send(const std::byte* from, std::size_t bytes, std::byte* to) {
    if (bytes == 0) return {};
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
          const PackOptions& options, Uploader& uploader, std::size_t piece, std::byte* to)
      : plan_(plan),
        lowered_(lowered),
        source_(source),
        options_(options),
        uploader_(uploader),
        piece_(piece),
        to_(to) {}

  Result<> run() {
    for (std::size_t t = 0; t < lowered_.tensors.size(); ++t) {
      const PlacedTensor& placed = lowered_.tensors[t];
      if (placed.bytes == 0) continue;
      if (placed.matrix)
        TYTO_TRY(matrix(plan_.tensors[t], placed));
      else
        TYTO_TRY(vector(plan_.tensors[t], placed));
    }
    for (const PlacedRope& rope : lowered_.ropes) TYTO_TRY(frequencies(rope));
    return tell(1);
  }

 private:
  Result<> tell(double fraction) {
    if (options_.progress && !options_.progress(static_cast<float>(fraction)))
      return Error(ErrorCode::cancelled, "loading was cancelled by its progress callback");
    return {};
  }

  Result<> read(const Tensor& tensor, const file::TensorInfo& info, std::size_t offset,
                std::size_t bytes) {
    bytes_.resize(bytes);
    TYTO_TRY(source_.read(info, offset, bytes_));
    const quant::Format& format = *info.format;
    const std::size_t blocks = bytes / size(format.block_bytes);
    if (options_.check_weights && !format.finite(bytes_.data(), blocks))
      return fail(ErrorCode::bad_file, "tensor {} holds NaN or infinity near value {}", tensor.name,
                  offset / size(format.block_bytes) * size(format.block_values));
    return {};
  }

  Result<> matrix(const Tensor& tensor, const PlacedTensor& placed) {
    TYTO_TRY(const file::TensorInfo* info, info_of(tensor));
    const std::size_t row = file_row_bytes(*info->format, placed.width);
    const std::size_t at_once =
        std::max<std::size_t>(1, piece_ / std::max(row, row_bytes(placed.layout)));
    for (std::size_t first = 0; first < placed.rows; first += at_once) {
      const std::size_t count = std::min(at_once, placed.rows - first);
      TYTO_TRY(read(tensor, *info, first * row, count * row));
      TYTO_TRY(std::byte* const pinned, uploader_.next());
      std::byte* planes[kPlanes];
      std::byte* next = pinned;
      for (int p = 0; p < kPlanes; ++p)
        planes[p] = std::exchange(next, next + count * placed.layout.planes[p].row_bytes);
      for (std::size_t r = 0; r < count; ++r) {
        std::byte* at[kPlanes];
        for (int p = 0; p < kPlanes; ++p) at[p] = planes[p] + r * placed.layout.planes[p].row_bytes;
        placed.matrix->pack_row(bytes_.data() + r * row, placed.width, at);
      }
      for (int p = 0; p < kPlanes; ++p) {
        const Plane& plane = placed.layout.planes[p];
        TYTO_TRY(uploader_.send(planes[p], count * plane.row_bytes,
                                to_ + placed.offset + plane.offset + first * plane.row_bytes));
      }
      TYTO_TRY(uploader_.sent());
      done_ += count * row_bytes(placed.layout);
      TYTO_TRY(tell(static_cast<double>(done_) / static_cast<double>(lowered_.weight_bytes)));
    }
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
    TYTO_TRY(read(tensor, *info, 0, file_row_bytes(*info->format, width)));
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
    for (std::size_t at = 0; at < bytes; at += piece_) {
      const std::size_t count = std::min(piece_, bytes - at);
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
  const std::size_t piece_;
  std::byte* const to_;
  std::vector<std::byte> bytes_;  // as the file has them
  std::size_t done_ = 0;          // bytes of matrices
};

}  // namespace

Result<std::unique_ptr<Weights>> pack_weights(const Plan& plan, Lowered lowered,
                                              const file::TensorSource& source,
                                              const PackOptions& options, int device) {
  auto weights = std::make_unique<CudaWeights>();
  TYTO_TRY(weights->memory, DeviceMemory::allocate(device, lowered.weight_bytes, "the weights"));
  weights->lowered = std::move(lowered);
  const std::size_t piece = piece_bytes(weights->lowered);
  TYTO_TRY(Uploader uploader, Uploader::create(device, piece));
  const Result<> packed =
      Packing(plan, weights->lowered, source, options, uploader, piece, weights->memory.data())
          .run();
  TYTO_TRY(uploader.finish());  // before its buffers go, whatever happened
  if (!packed) return packed.error();
  return std::unique_ptr<Weights>(std::move(weights));
}

std::uint64_t pack_buffer_bytes(const Lowered& lowered) { return 3 * piece_bytes(lowered); }

}  // namespace tyto::cuda
