// Memory, streams, graphs and events of the stand-in.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "tests/fake_cuda/cuda_runtime_api.h"

namespace fake_cuda {
namespace {

Stream legacy;
std::map<void*, std::size_t> blocks;

void run(Stream* stream) {
  const std::vector<Work> work = std::exchange(stream->queued, {});
  for (const Work& each : work) each();
}

cudaError_t allocate(void** memory, std::size_t bytes) {
  if (const cudaError_t code = host_call(); code != cudaSuccess) return code;
  if (bytes > machine().memory - machine().allocated) return cudaErrorMemoryAllocation;
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  // NaN as a float and as both 16-bit floats, and as an integer large: nobody may believe it.
  std::fill_n(static_cast<std::uint16_t*>(*memory), bytes / 2, std::uint16_t{0x7fc0});
  blocks[*memory] = bytes;
  machine().allocated += bytes;
  return cudaSuccess;
}

cudaError_t release(void* memory) {
  if (!memory) return cudaSuccess;
  const auto found = blocks.find(memory);
  if (found == blocks.end()) return cudaErrorInvalidValue;
  machine().allocated -= found->second;
  blocks.erase(found);
  std::free(memory);
  return cudaSuccess;
}

template <class T>
cudaError_t make(T** out, int& count) {
  if (const cudaError_t code = host_call(); code != cudaSuccess) return code;
  *out = new T;
  ++count;
  return cudaSuccess;
}
template <class T>
cudaError_t destroy(T* object, int& count) {
  delete object;
  --count;
  return cudaSuccess;
}

}  // namespace

Machine& machine() {
  static Machine only;
  return only;
}

cudaError_t call() {
  Machine& m = machine();
  if (m.lost) return m.failure;
  if (m.calls++ != m.fail_at) return cudaSuccess;
  m.lost = m.failure != cudaErrorMemoryAllocation;
  return m.failure;
}

cudaError_t host_call() {
  const cudaError_t code = call();
  return code == cudaSuccess && machine().capturing ? cudaErrorStreamCaptureUnsupported : code;
}

std::size_t& dynamic_limit(const void* kernel) {
  static std::map<const void*, std::size_t> limits;
  return limits.try_emplace(kernel, (48 << 10) - kStaticShared).first->second;
}

void check_device_memory(const void* at) {
  const auto after = blocks.upper_bound(const_cast<void*>(at));
  if (after != blocks.begin()) {
    const auto& [begin, bytes] = *std::prev(after);
    if (static_cast<const std::byte*>(at) < static_cast<const std::byte*>(begin) + bytes) return;
  }
  std::fprintf(stderr, "a kernel asks for memory that nobody has allocated\n");
  std::abort();
}

void queue(Stream* stream, Work work) {
  if (!stream) stream = &legacy;
  (stream->captured ? *stream->captured : stream->queued).push_back(std::move(work));
}

}  // namespace fake_cuda

using namespace fake_cuda;

cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t code) {
  return code == cudaErrorMemoryAllocation ? "out of memory" : "an error of the stand-in";
}
cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int device) {
  return device < machine().devices ? cudaSuccess : cudaErrorInvalidDevice;
}
cudaError_t cudaGetDeviceCount(int* count) {
  if (machine().driver != cudaSuccess) return machine().driver;
  *count = machine().devices;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  if (const cudaError_t code = call(); code != cudaSuccess) return code;
  *properties = {"stand-in", machine().memory, 8, 0, 1};
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** memory, std::size_t bytes) { return allocate(memory, bytes); }
cudaError_t cudaFree(void* memory) { return release(memory); }
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) { return allocate(memory, bytes); }
cudaError_t cudaFreeHost(void* memory) { return release(memory); }
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  if (const cudaError_t code = call(); code != cudaSuccess) return code;
  queue(stream, [=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
  if (const cudaError_t code = call(); code != cudaSuccess) return code;
  queue(stream, [=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}
cudaError_t cudaMemset2DAsync(void* to, std::size_t pitch, int value, std::size_t width,
                              std::size_t height, cudaStream_t stream) {
  if (const cudaError_t code = call(); code != cudaSuccess) return code;
  queue(stream, [=] {
    for (std::size_t row = 0; row < height; ++row)
      std::memset(static_cast<char*>(to) + row * pitch, value, width);
  });
  return cudaSuccess;
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return call();
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) {
  return make(stream, machine().streams);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return destroy(stream, machine().streams); }
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (!stream) stream = &legacy;
  const cudaError_t code = host_call();
  if (code == cudaSuccess)
    run(stream);
  else
    stream->queued.clear();  // what failed will never run
  return code;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (const cudaError_t code = call(); code != cudaSuccess) return code;
  stream->captured = new std::vector<Work>;
  machine().capturing = true;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  std::vector<Work>* const captured = std::exchange(stream->captured, nullptr);
  machine().capturing = false;
  const cudaError_t code = make(graph, machine().graphs);
  if (code == cudaSuccess) (*graph)->work = std::move(*captured);
  delete captured;
  return code;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* ready, cudaGraph_t graph, unsigned long long) {
  const cudaError_t code = make(ready, machine().graphs);
  if (code == cudaSuccess) (*ready)->work = graph->work;
  return code;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return host_call(); }
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  if (const cudaError_t code = call(); code != cudaSuccess) return code;
  for (const Work& each : graph->work) queue(stream, each);
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return destroy(graph, machine().graphs); }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) { return destroy(graph, machine().graphs); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  return make(event, machine().events);
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (const cudaError_t code = call(); code != cudaSuccess) return code;
  event->stream = stream;
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (const cudaError_t code = call(); code != cudaSuccess) return code;
  if (event->stream) run(event->stream);
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) { return destroy(event, machine().events); }
