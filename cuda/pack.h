// Loading: every matrix is read once, in pieces, into two pinned buffers in turn, copied to the
// device while the next piece is read, and put into its layout there.
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
