#if defined(__x86_64__) || defined(_M_X64)
#include "cpu/linear.h"
#include "cpu/simd/avx512.h"
// then:
#include "cpu/kernels/activations-inl.h"

namespace tyto::cpu {
namespace avx512 {
const LinearKernel* const* linear_kernels(int variant) noexcept;  // generated
}

LinearTable avx512_linear(bool bf16, bool amx) noexcept {
  return {avx512::linear_kernels((bf16 ? 1 : 0) + (amx ? 2 : 0)), avx512::kMakeActivations};
}

}  // namespace tyto::cpu
#endif
