// A backend on one CUDA device: all blocks, all weight formats.
#pragma once
#include <memory>

#include "src/backend.h"
#include "tyto/cuda.h"
#include "tyto/result.h"

namespace tyto::cuda {

// `unsupported` where there is no such device.
Result<std::unique_ptr<Backend>> new_cuda_backend(int device, const CudaOptions& options = {});

}  // namespace tyto::cuda
