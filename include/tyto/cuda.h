// The CUDA component, tyto::cuda in CMake.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tyto/export.h"
#include "tyto/model.h"
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

struct CudaOptions {
  // A row's bits depend on nothing but its own sequence: not on what other sessions are in its
  // step, nor on how a prompt is cut. Slower for more than 8 rows, which then go without tensor
  // cores; attention keeps them.
  bool reproducible = false;
  // The device prefers what others ask of it, such as the frames of a game.
  bool low_priority = false;
};

// For ModelOptions::accelerator, whether there is a device or not: loading tells. Null where there
// is no memory.
TYTO_EXPORT std::shared_ptr<const Accelerator> cuda_accelerator(
    const CudaOptions& options = {}) noexcept;

}  // namespace v1
}  // namespace tyto
