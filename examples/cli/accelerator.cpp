#include "examples/cli/accelerator.h"

#ifdef TYTO_PROGRAM_CUDA
#include "tyto/cuda.h"
#endif

namespace cli {

std::shared_ptr<const tyto::Accelerator> accelerator() {
#ifdef TYTO_PROGRAM_CUDA
  return tyto::cuda_accelerator();
#else
  return {};
#endif
}

}  // namespace cli
