#include "cpu/linear.h"
#include "cpu/simd/scalar.h"
// then:
#include "cpu/kernels/activations-inl.h"

namespace tyto::cpu {
namespace scalar {
const LinearKernel* const* linear_kernels(int variant) noexcept;  // generated
}

LinearTable scalar_linear() noexcept {
  return {scalar::linear_kernels(0), scalar::kMakeActivations};
}

}  // namespace tyto::cpu
