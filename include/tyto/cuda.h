// The CUDA component, tyto::cuda in CMake. Today it lists devices; no model runs on one yet.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tyto/export.h"
#include "tyto/result.h"

namespace tyto {
inline namespace v1 {

struct CudaDevice {
  int index = 0;
  std::string name;
  std::uint64_t memory = 0;  // bytes in all
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
};

// In the driver's order. Empty where there is no device or no driver. May be called from several
// threads at once; leaves the calling thread's current device as it was.
TYTO_EXPORT Result<std::vector<CudaDevice>> cuda_devices();

}  // namespace v1
}  // namespace tyto
