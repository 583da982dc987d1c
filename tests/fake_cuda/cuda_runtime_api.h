// A stand-in for the CUDA runtime that runs kernels on the host, so that everything in cuda/, but
// what nvcc and a device make of it, is tested on machines without a device. What it is stricter
// in: a stream does nothing before somebody waits for it, and fresh device memory is full of NaN.
// Only what cuda/ uses is here, with the runtime's own names.
#pragma once
#include <cstddef>
#include <functional>
#include <tuple>
#include <utility>
#include <vector>

#define __device__
#define __host__

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorUnsupportedPtxVersion = 222,
  cudaErrorIllegalAddress = 700,
  cudaErrorLaunchFailure = 719,
  cudaErrorStreamCaptureUnsupported = 900,
};
enum cudaMemcpyKind {
  cudaMemcpyHostToHost,
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice,
};
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
inline constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2;

struct cudaDeviceProp {
  char name[256];
  std::size_t totalGlobalMem;
  int major, minor, multiProcessorCount;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct uint3 {
  unsigned x, y, z;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

namespace fake_cuda {

using Work = std::function<void()>;
struct Stream {
  std::vector<Work> queued;
  std::vector<Work>* captured = nullptr;
};
struct Graph {
  std::vector<Work> work;
};
struct Event {
  Stream* stream = nullptr;
};

// What the next calls do. A call is counted where it begins; the one numbered `fail_at` answers
// `failure`, and where that loses the device, all after it do.
struct Machine {
  cudaError_t driver = cudaSuccess;  // of cudaGetDeviceCount
  int devices = 1;
  std::size_t memory = std::size_t{1} << 30;  // of each device
  int calls = 0, fail_at = -1;
  cudaError_t failure = cudaErrorIllegalAddress;
  bool lost = false, capturing = false;
  std::size_t allocated = 0;  // bytes of device and pinned memory that nobody has freed
  int streams = 0, graphs = 0, events = 0, blas = 0;  // that nobody has destroyed
  bool has_blas = true;
};
Machine& machine();

cudaError_t call();       // counts one
cudaError_t host_call();  // the same, of a call that is not allowed while a stream captures
void queue(Stream* stream, Work work);
void run_grid(dim3 grid, dim3 block, std::size_t shared_bytes, const Work& kernel);
// Bytes of shared memory of a block: of all kinds, of which devices have up to 227 KiB; of what a
// kernel is taken to declare, since that is not known here; and of what a launch may add.
inline constexpr std::size_t kSharedMemory = 99 << 10, kStaticShared = 4 << 10;
std::size_t& dynamic_limit(const void* kernel);
void check_device_memory(const void* at);  // ends the program where none is allocated

}  // namespace fake_cuda

using cudaStream_t = fake_cuda::Stream*;
using cudaGraph_t = fake_cuda::Graph*;
using cudaGraphExec_t = fake_cuda::Graph*;
using cudaEvent_t = fake_cuda::Event*;

cudaError_t cudaGetLastError();
const char* cudaGetErrorString(cudaError_t code);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaMalloc(void** memory, std::size_t bytes);
cudaError_t cudaFree(void* memory);
cudaError_t cudaMallocHost(void** memory, std::size_t bytes);
cudaError_t cudaFreeHost(void* memory);
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream);
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemset2DAsync(void* to, std::size_t pitch, int value, std::size_t width,
                              std::size_t height, cudaStream_t stream);
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest);
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* ready, cudaGraph_t graph,
                                 unsigned long long flags = 0);
cudaError_t cudaGraphUpload(cudaGraphExec_t graph, cudaStream_t stream);
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventDestroy(cudaEvent_t event);

struct cudaFuncAttributes {
  std::size_t sharedSizeBytes;
  int ptxVersion;
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
template <class Kernel>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, Kernel*) {
  *attributes = {fake_cuda::kStaticShared, 90};
  return fake_cuda::call();
}
template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute, int bytes) {
  const auto wanted = static_cast<std::size_t>(bytes);
  std::size_t& limit = fake_cuda::dynamic_limit(reinterpret_cast<const void*>(kernel));
  // Nor may it become less: another thread's launch may need it.
  if (wanted + fake_cuda::kStaticShared > fake_cuda::kSharedMemory || wanted < limit)
    return cudaErrorInvalidValue;
  limit = wanted;
  return fake_cuda::call();
}

enum cudaLaunchAttributeID { cudaLaunchAttributeProgrammaticStreamSerialization = 6 };
struct cudaLaunchAttribute {
  cudaLaunchAttributeID id;
  struct {
    int programmaticStreamSerializationAllowed;
  } val;
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  cudaLaunchAttribute* attrs = nullptr;
  unsigned numAttrs = 0;
};
template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  if (const cudaError_t code = fake_cuda::call(); code != cudaSuccess) return code;
  const std::tuple<Parameters...> values(std::forward<Arguments>(arguments)...);
  const auto shared = config->dynamicSmemBytes;
  if (shared > fake_cuda::dynamic_limit(reinterpret_cast<const void*>(kernel)))
    return cudaErrorInvalidValue;
  fake_cuda::queue(config->stream,
                   [kernel, values, grid = config->gridDim, block = config->blockDim, shared] {
                     fake_cuda::run_grid(grid, block, shared, [&] { std::apply(kernel, values); });
                   });
  return cudaSuccess;
}
