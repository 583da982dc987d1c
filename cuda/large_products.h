// Products of a format's matrices with many rows, by cuBLASLt.
#pragma once
#include <memory>
#include <vector>

#include "cuda/blas.h"

namespace tyto::cuda {

class LargeProducts {
 public:
  // Whether there is a way for such matrices, if rows are enough.
  static bool serves(const MatrixFormat& format);
  static int least_rows(const MatrixFormat& format) {
    return format.expand ? kLeastExpandedRows : kLeastBlasRows;
  }

  // expanded: kExpandedBytes, or room for the largest matrix as BF16; unused if the format is that.
  LargeProducts(const std::shared_ptr<const Blas>& blas, const MatrixFormat& format,
                const Products& products, const Records& x, std::byte* workspace,
                std::byte* expanded, std::size_t expanded_bytes);

  // Queues all of them, or, where the library has no way for one, nothing.
  cudaError_t multiply(int rows, cudaStream_t stream, bool& served);

 private:
  struct Piece {
    MatrixView source;  // of a quantized matrix
    std::unique_ptr<BlasProduct> product;
  };
  void add(const std::shared_ptr<const Blas>& blas, const Products::Part& part, const Records& x,
           std::byte* workspace);

  const MatrixFormat& format_;
  std::uint16_t* const expanded_;
  const std::size_t expanded_bytes_;
  std::vector<Piece> pieces_;
};

}  // namespace tyto::cuda
