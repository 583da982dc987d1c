// Products of many rows by cuBLASLt, where the machine has it.
#pragma once
#include <memory>
#include <vector>

#include "cuda/blas_library.h"
#include "cuda/device.h"
#include "cuda/matrix.h"

namespace tyto::cuda {

// With fewer rows the kernels of cuda/kernels do it: of BF16 weights, and of quantized ones, which
// have to become BF16 first, a piece at a time.
inline constexpr int kLeastBlasRows = 128, kLeastExpandedRows = 256;
inline constexpr std::size_t kExpandedBytes = 64 << 20;  // of a piece, at most
inline constexpr std::size_t kBlasWorkspace = 32 << 20;  // what the library asks for, at most

constexpr std::size_t expanded_row_bytes(int width) {  // as BF16
  return static_cast<std::size_t>(float_groups_of(width)) * kFloatGroup * 2;
}

// cuBLASLt's own state on a device. Immutable.
class Blas {
 public:
  // Null: this machine has none, or not for this device.
  static Result<std::shared_ptr<const Blas>> open(int device);
  ~Blas();
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;

  const BlasLibrary& library() const noexcept { return library_; }
  cublasLtHandle_t handle() const noexcept { return handle_; }

 private:
  Blas(const BlasLibrary& library, int device, cublasLtHandle_t handle)
      : library_(library), device_(device), handle_(handle) {}

  const BlasLibrary& library_;
  const int device_;
  const cublasLtHandle_t handle_;
};

// A matrix of BF16 times records of BF16, sums in float. Unlike kernels it computes all `rows`
// records, whether they are there or not. One thread at a time.
class BlasProduct {
 public:
  BlasProduct(std::shared_ptr<const Blas> blas, const Products::Part& part, const Records& x,
              std::byte* workspace);
  ~BlasProduct();
  BlasProduct(const BlasProduct&) = delete;
  BlasProduct& operator=(const BlasProduct&) = delete;

  // Whether the library has a way for so many rows. Never where a bias is added to what is there.
  cudaError_t find(int rows, bool& served);
  cudaError_t multiply(int rows, cudaStream_t stream);  // after find()

 private:
  struct Shape;  // what the library knows of one number of rows
  const Shape* known(int rows) const;
  cublasStatus_t prepare(Shape& shape) const;
  std::int64_t stride() const;  // of the matrix, in values

  const std::shared_ptr<const Blas> blas_;
  const Products::Part part_;
  const Records x_;
  std::byte* const workspace_;
  std::vector<std::unique_ptr<Shape>> shapes_;
};

}  // namespace tyto::cuda
