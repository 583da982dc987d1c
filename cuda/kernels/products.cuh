// Computes  which outputs of which matrix, and which records, are a block's, and where a result
// goes
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
  // Of the group's expert; records, and rows of results, count from first_record on.
  int first_row, first_record, records;

  __device__ Share(const Products& products, int outputs_per_block)
      : Share(products, find(products, outputs_per_block), outputs_per_block) {}

 private:
  struct Found {
    const Products::Part& part;
    int block;
  };
  __device__ Share(const Products& products, const Found& found, int outputs_per_block)
      : part(found.part), first_output(found.block * outputs_per_block) {
    if (!products.groups) {
      first_row = first_record = 0;
      records = *part.to.count;
      return;
    }
    const ExpertGroup group = products.groups[blockIdx.z];
    first_row = group.expert * part.matrix.rows;
    first_record = group.first;
    records = group.count;
  }
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
