// A backend on one CUDA device. So far it serves the last block of a model alone: a slice of one
// Head with RMSNorm and Q8_0 weights. Anything else is `unsupported`, by name.
#pragma once
#include <memory>

#include "src/backend.h"
#include "tyto/result.h"

namespace tyto::cuda {

// `unsupported` where there is no such device.
Result<std::unique_ptr<Backend>> new_cuda_backend(int device);

}  // namespace tyto::cuda
