#if defined(__aarch64__)
#include "cpu/linear.h"
#include "cpu/simd/neon.h"
// then:
#include "cpu/kernels/activations-inl.h"

namespace tyto::cpu {
namespace neon {
const LinearKernel* const* linear_kernels(int variant) noexcept;  // generated
}

LinearTable neon_linear(bool i8mm) noexcept {
  return {neon::linear_kernels(i8mm ? 1 : 0), neon::kMakeActivations};
}

}  // namespace tyto::cpu
#endif
