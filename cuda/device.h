// What every file here needs of the CUDA runtime: errors, the current device, and owners of memory,
// streams, graphs and events. Only files in this folder see CUDA headers.
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <utility>

#include "src/base/error.h"
#include "tyto/result.h"

namespace tyto::cuda {

inline ErrorCode error_code(cudaError_t code) {
  switch (code) {
    case cudaErrorMemoryAllocation:
      return ErrorCode::device_memory;
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
      return ErrorCode::unsupported;
    case cudaErrorInvalidValue:
    case cudaErrorInvalidConfiguration:
      return ErrorCode::internal;
    default:
      return ErrorCode::device_lost;
  }
}
inline Error error(cudaError_t code, const char* call) {
  cudaGetLastError();  // the runtime remembers it per thread otherwise, and the host would find it
  return fail(error_code(code), "cuda: {}: {}", call, cudaGetErrorString(code));
}

#define TYTO_CUDA_TRY(call)                                               \
  do {                                                                    \
    if (const cudaError_t tyto_code_ = (call); tyto_code_ != cudaSuccess) \
      return ::tyto::cuda::error(tyto_code_, #call);                      \
  } while (false)

// Makes a device the calling thread's current one, and gives the host's back. A device that cannot
// be current fails in the call that follows.
class DeviceScope {
 public:
  explicit DeviceScope(int device) noexcept {
    int before = device;
    if (cudaGetDevice(&before) != cudaSuccess || before == device) return;
    if (cudaSetDevice(device) == cudaSuccess)
      before_ = before;
    else
      cudaGetLastError();
  }
  ~DeviceScope() {
    if (before_ >= 0) cudaSetDevice(before_);
  }
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  int before_ = -1;
};

// A handle and the call that ends it. At exit the runtime may be gone before us: that call answers
// so, and nothing is left to free.
template <class Handle, cudaError_t (*kEnd)(Handle)>
class Owned {
 public:
  Owned() = default;
  Owned(int device, Handle handle) noexcept : device_(device), handle_(handle) {}
  Owned(Owned&& other) noexcept { swap(other); }
  Owned& operator=(Owned&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Owned() {
    if (!handle_) return;
    const DeviceScope scope(device_);
    kEnd(handle_);
  }
  Handle get() const noexcept { return handle_; }
  explicit operator bool() const noexcept { return handle_ != nullptr; }

 private:
  void swap(Owned& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(handle_, other.handle_);
  }
  int device_ = 0;
  Handle handle_ = nullptr;
};

using Stream = Owned<cudaStream_t, cudaStreamDestroy>;
using Graph = Owned<cudaGraph_t, cudaGraphDestroy>;
using ReadyGraph = Owned<cudaGraphExec_t, cudaGraphExecDestroy>;
using Event = Owned<cudaEvent_t, cudaEventDestroy>;

// Device memory, or host memory that the device reads without a copy. What it holds is undefined.
template <cudaError_t (*kAllocate)(void**, std::size_t), cudaError_t (*kFree)(void*),
          ErrorCode kFull>
class Memory {
 public:
  static Result<Memory> allocate(int device, std::size_t bytes, std::string_view what) {
    Memory memory;
    if (bytes == 0) return memory;
    const DeviceScope scope(device);
    void* data = nullptr;
    if (const cudaError_t code = kAllocate(&data, bytes); code != cudaSuccess) {
      cudaGetLastError();
      const bool full = code == cudaErrorMemoryAllocation;
      return fail(full ? kFull : error_code(code), "cuda:{}: no {} bytes for {}: {}", device, bytes,
                  what, cudaGetErrorString(code));
    }
    memory.owned_ = {device, data};
    memory.size_ = bytes;
    return memory;
  }
  std::size_t size() const noexcept { return size_; }
  std::byte* data() const noexcept { return static_cast<std::byte*>(owned_.get()); }

 private:
  Owned<void*, kFree> owned_;
  std::size_t size_ = 0;
};

inline cudaError_t allocate_device(void** memory, std::size_t bytes) {
  return cudaMalloc(memory, bytes);
}
inline cudaError_t allocate_pinned(void** memory, std::size_t bytes) {
  return cudaMallocHost(memory, bytes);
}
using DeviceMemory = Memory<allocate_device, cudaFree, ErrorCode::device_memory>;
using PinnedMemory = Memory<allocate_pinned, cudaFreeHost, ErrorCode::no_memory>;

inline Result<Stream> new_stream(int device, bool high_priority = false) {
  const DeviceScope scope(device);
  int least = 0, greatest = 0;
  TYTO_CUDA_TRY(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  cudaStream_t stream = nullptr;
  TYTO_CUDA_TRY(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking,
                                             high_priority ? greatest : least));
  return Stream(device, stream);
}
inline Result<Event> new_event(int device) {
  const DeviceScope scope(device);
  cudaEvent_t event = nullptr;
  TYTO_CUDA_TRY(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return Event(device, event);
}

}  // namespace tyto::cuda
