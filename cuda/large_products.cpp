#include "cuda/large_products.h"

#include <algorithm>

#include "cuda/sizes.h"

namespace tyto::cuda {

bool LargeProducts::serves(const MatrixFormat& format) {
  return format.expand || format.forms(Order::fastest).halves;
}

LargeProducts::LargeProducts(const std::shared_ptr<const Blas>& blas, const MatrixFormat& format,
                             const Products& products, const Records& x, std::byte* workspace,
                             std::byte* expanded, std::size_t expanded_bytes)
    : format_(format),
      expanded_(reinterpret_cast<std::uint16_t*>(expanded)),
      expanded_bytes_(expanded_bytes) {
  for (int p = 0; p < products.count; ++p) add(blas, products.parts[p], x, workspace);
}

void LargeProducts::add(const std::shared_ptr<const Blas>& blas, const Products::Part& part,
                        const Records& x, std::byte* workspace) {
  if (!format_.expand) {
    pieces_.push_back({{}, std::make_unique<BlasProduct>(blas, part, x, workspace)});
    return;
  }
  const int most = static_cast<int>(expanded_bytes_ / expanded_row_bytes(part.matrix.width));
  for (int first = 0; first < part.matrix.rows; first += most) {
    Piece piece{part.matrix, nullptr};
    piece.source.first_row += first;
    piece.source.rows = std::min(most, part.matrix.rows - first);
    Products::Part of = part;
    of.matrix = {};
    of.matrix.planes[kLowPlane] = reinterpret_cast<const std::byte*>(expanded_);
    of.matrix.width = part.matrix.width;
    of.matrix.rows = piece.source.rows;
    of.to.out += first;
    if (of.to.bias) of.to.bias += first;
    piece.product = std::make_unique<BlasProduct>(blas, of, x, workspace);
    pieces_.push_back(std::move(piece));
  }
}

cudaError_t LargeProducts::multiply(int rows, cudaStream_t stream, bool& served) {
  served = true;
  for (const Piece& piece : pieces_) {
    if (const cudaError_t code = piece.product->find(rows, served); code != cudaSuccess)
      return code;
    if (!served) return cudaSuccess;
  }
  for (const Piece& piece : pieces_) {
    if (format_.expand)
      if (const cudaError_t code = format_.expand(piece.source, expanded_, stream);
          code != cudaSuccess)
        return code;
    if (const cudaError_t code = piece.product->multiply(rows, stream); code != cudaSuccess)
      return code;
  }
  return cudaSuccess;
}

}  // namespace tyto::cuda
