// Loading: every weight is read once, in pieces, packed into pinned buffers, and copied from there
// while the next piece is packed.
#pragma once
#include <memory>

#include "cuda/device.h"
#include "cuda/lowered.h"

namespace tyto::cuda {

class CudaWeights : public Weights {
 public:
  std::uint64_t bytes() const noexcept override { return memory.size(); }

  DeviceMemory memory;
  Lowered lowered;
};

Result<std::unique_ptr<Weights>> pack_weights(const Plan& plan, Lowered lowered,
                                              const file::TensorSource& source,
                                              const PackOptions& options, int device);

// Host memory that it holds for a while.
std::uint64_t pack_buffer_bytes(const Lowered& lowered);

}  // namespace tyto::cuda
