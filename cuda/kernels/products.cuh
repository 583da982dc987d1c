// Computes  which output of which matrix is a block's, and where a result goes
#pragma once
#include "cuda/matrix.h"
#include "cuda/prim.cuh"

namespace tyto::cuda {

// The blocks of all parts, one part after the other.
inline unsigned blocks_of(const Products& products, int outputs_per_block) {
  unsigned blocks = 0;
  for (int p = 0; p < products.count; ++p)
    blocks += ceil_div(products.parts[p].matrix.rows, outputs_per_block);
  return blocks;
}

struct Share {
  const Products::Part& part;
  int first_output;

  __device__ Share(const Products& products, int outputs_per_block)
      : Share(find(products, outputs_per_block), outputs_per_block) {}

 private:
  struct Found {
    const Products::Part& part;
    int block;
  };
  __device__ Share(const Found& found, int outputs_per_block)
      : part(found.part), first_output(found.block * outputs_per_block) {}
  __device__ static Found find(const Products& products, int outputs_per_block) {
    int block = static_cast<int>(blockIdx.x), p = 0;
    for (; p + 1 < products.count; ++p) {
      const int blocks =
          (products.parts[p].matrix.rows + outputs_per_block - 1) / outputs_per_block;
      if (block < blocks) break;
      block -= blocks;
    }
    return {products.parts[p], block};
  }
};

__device__ inline void store(const Destination& to, int record, int output, float sum) {
  if (to.bias) sum += to.bias[output];
  float& out = to.out[static_cast<std::size_t>(record) * to.stride + output];
  out = to.add ? out + sum : sum;
}

}  // namespace tyto::cuda
