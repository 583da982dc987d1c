#include "cuda/device.h"
#include "tyto/cuda.h"

namespace tyto {
inline namespace v1 {

Result<std::vector<CudaDevice>> cuda_devices() {
  return guarded([]() -> Result<std::vector<CudaDevice>> {
    std::vector<CudaDevice> devices;
    int count = 0;
    const cudaError_t found = cudaGetDeviceCount(&count);
    if (found == cudaErrorNoDevice || found == cudaErrorInsufficientDriver) {
      cudaGetLastError();
      return devices;
    }
    if (found != cudaSuccess) return cuda::error(found, "cudaGetDeviceCount");
    for (int index = 0; index < count; ++index) {
      cudaDeviceProp properties{};
      TYTO_CUDA_TRY(cudaGetDeviceProperties(&properties, index));
      devices.push_back({index, properties.name, properties.totalGlobalMem, properties.major,
                         properties.minor, properties.multiProcessorCount});
    }
    return devices;
  });
}

}  // namespace v1
}  // namespace tyto
