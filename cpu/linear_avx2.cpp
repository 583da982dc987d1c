#if defined(__x86_64__) || defined(_M_X64)
#include "cpu/linear.h"
#include "cpu/simd/avx2.h"
// then:
#include "cpu/kernels/activations-inl.h"

namespace tyto::cpu {
namespace avx2 {
const LinearKernel* const* linear_kernels(int variant) noexcept;  // generated
}

LinearTable avx2_linear() noexcept { return {avx2::linear_kernels(0), avx2::kMakeActivations}; }

}  // namespace tyto::cpu
#endif
