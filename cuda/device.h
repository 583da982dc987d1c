// What every file here needs of the CUDA runtime: errors, the current device, memory that frees
// itself. Only files in this folder see CUDA headers.
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <utility>

#include "src/base/error.h"
#include "tyto/result.h"

namespace tyto::cuda {

inline Error error(cudaError_t code, const char* call) {
  cudaGetLastError();  // the runtime remembers it per thread otherwise, and the host would find it
  const bool memory = code == cudaErrorMemoryAllocation;
  return fail(memory ? ErrorCode::device_memory : ErrorCode::device_lost, "{}: {}", call,
              cudaGetErrorString(code));
}

#define TYTO_CUDA_TRY(call)                                               \
  do {                                                                    \
    if (const cudaError_t tyto_code_ = (call); tyto_code_ != cudaSuccess) \
      return ::tyto::cuda::error(tyto_code_, #call);                      \
  } while (false)

// Makes a device the calling thread's current one, and gives the host's back.
class DeviceScope {
 public:
  explicit DeviceScope(int device) noexcept {
    if (cudaGetDevice(&before_) == cudaSuccess && before_ != device) cudaSetDevice(device);
  }
  ~DeviceScope() {
    if (before_ >= 0) cudaSetDevice(before_);
  }
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  int before_ = -1;
};

// Device memory, zeroed.
class DeviceBuffer {
 public:
  static Result<DeviceBuffer> allocate(int device, std::size_t bytes) {
    const DeviceScope scope(device);
    DeviceBuffer buffer;
    buffer.device_ = device;
    TYTO_CUDA_TRY(cudaMalloc(&buffer.data_, bytes));
    buffer.size_ = bytes;
    TYTO_CUDA_TRY(cudaMemset(buffer.data_, 0, bytes));
    return buffer;
  }
  DeviceBuffer() = default;
  DeviceBuffer(DeviceBuffer&& other) noexcept { swap(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  // At exit the runtime may be gone before us: then there is nothing left to free.
  ~DeviceBuffer() {
    if (!data_) return;
    const DeviceScope scope(device_);
    cudaFree(data_);
  }

  std::size_t size() const noexcept { return size_; }
  template <class T>
  T* as() const noexcept {
    return static_cast<T*>(data_);
  }

 private:
  void swap(DeviceBuffer& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  int device_ = 0;
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace tyto::cuda
