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
  // A row's bits depend on its own sequence and on the context that the model was loaded for: not
  // on what other sessions are in its step, nor on how a prompt is cut. More than 8 rows then go
  // without tensor cores, but for attention, and each of Limits::rows needs memory for the results
  // of up to 32 splits of its keys: 256 MiB for 512 rows of 4096 values in all heads.
  bool reproducible = false;
  // Its work goes before that of the process's other CUDA streams, unless they ask for the same.
  // Otherwise it has the least priority there is, as streams have by themselves.
  bool high_priority = false;
};

// For ModelOptions::accelerator, whether there is a device or not: loading tells. Null where there
// is no memory.
TYTO_EXPORT std::shared_ptr<const Accelerator> cuda_accelerator(
    const CudaOptions& options = {}) noexcept;

}  // namespace v1
}  // namespace tyto
