// Computes  which outputs of which matrix, and which records, are a block's, and where results go
#pragma once
#include "cuda/matrix.h"
#include "cuda/prim.cuh"

namespace tyto::cuda {

// Outputs are cut into pieces of so many, those of one part after those of another.
inline int pieces_of(const Products& products, int outputs) {
  int pieces = 0;
  for (int p = 0; p < products.count; ++p)
    pieces += static_cast<int>(ceil_div(products.parts[p].matrix.rows, outputs));
  return pieces;
}

struct Piece {
  const Products::Part& part;
  int first_output;

  __device__ Piece(const Products& products, int index, int outputs)
      : Piece(products, find(products, index, outputs), outputs) {}

 private:
  struct Found {
    int part, index;
  };
  __device__ Piece(const Products& products, const Found& found, int outputs)
      : part(products.parts[found.part]), first_output(found.index * outputs) {}
  __device__ static Found find(const Products& products, int index, int outputs) {
    int p = 0;
    for (; p + 1 < products.count; ++p) {
      const int pieces = (products.parts[p].matrix.rows + outputs - 1) / outputs;
      if (index < pieces) break;
      index -= pieces;
    }
    return {p, index};
  }
};

// What of a part a block multiplies. Records, and rows of results, count from first_record on.
struct Share {
  int first_row, first_record, records;

  __device__ Share(const Products& products, const Products::Part& part) {
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
};

__device__ inline float with_bias(const Destination& to, int output, float sum) {
  return to.bias ? sum + to.bias[output] : sum;
}
__device__ inline void store(const Destination& to, int record, int output, float sum) {
  sum = with_bias(to, output, sum);
  float& out = to.out[static_cast<std::size_t>(record) * to.stride + output];
  out = to.add ? out + sum : sum;
}

}  // namespace tyto::cuda
