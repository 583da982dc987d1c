// Computes  act(gate) * up, or act(up), as records
// Shapes    gate, up [rows][width] -> records [rows][width]
// Launch    a warp per row and unit of 32 values
// Measured  on no device yet
#include "cuda/blocks/blocks.h"
#include "cuda/kernels/activation.cuh"
#include "cuda/kernels/records.cuh"

namespace tyto::cuda {
namespace {

constexpr int kWarps = 4;

__global__ void __launch_bounds__(kWarps* kWarp) activate_kernel(Activate a) {
  begin_kernel();
  const int r = static_cast<int>(blockIdx.x);
  const int unit = static_cast<int>(blockIdx.y) * kWarps + warp_index();
  if (r >= *a.count || unit * kUnit >= a.to.stride) return;  // whole warps
  const int i = unit * kUnit + lane_index();
  const std::size_t at = static_cast<std::size_t>(r) * a.width + i;
  float value = 0;
  if (i < a.width)
    value = a.gate ? activated(a.act, a.gate[at]) * a.up[at] : activated(a.act, a.up[at]);
  store_unit(a.to, r, unit, value);
}

}  // namespace

cudaError_t activate(const Activate& a, int rows, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(rows), ceil_div(a.to.stride / kUnit, kWarps));
  return launch(activate_kernel, grid, kWarps * kWarp, stream, a);
}

}  // namespace tyto::cuda
