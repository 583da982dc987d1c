// cuBLASLt's meaning on the host, as far as tyto uses it: d = alpha a^T b + beta c + bias, columns
// first, a and b of BF16, sums of float.
#include "cuda/blas_library.h"

#include <cstring>

#include "src/quant/blocks.h"

namespace {

cublasStatus_t status() {
  switch (fake_cuda::call()) {
    case cudaSuccess:
      return CUBLAS_STATUS_SUCCESS;
    case cudaErrorMemoryAllocation:
      return CUBLAS_STATUS_ALLOC_FAILED;
    default:
      return CUBLAS_STATUS_EXECUTION_FAILED;
  }
}

template <class T, class... Arguments>
cublasStatus_t make(T** out, const Arguments&... arguments) {
  const cublasStatus_t code = status();
  if (code != CUBLAS_STATUS_SUCCESS) return code;
  *out = new T{arguments...};
  ++fake_cuda::machine().blas;
  return code;
}
template <class T>
cublasStatus_t destroy(T* object) {
  --fake_cuda::machine().blas;
  delete object;
  return CUBLAS_STATUS_SUCCESS;
}

template <class T>
T value_at(const void* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

}  // namespace

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) { return make(handle); }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return destroy(handle); }
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* product, cublasComputeType_t,
                                        cudaDataType_t) {
  return make(product);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product) { return destroy(product); }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product,
                                              cublasLtMatmulDescAttributes_t what,
                                              const void* value, std::size_t) {
  if (what == CUBLASLT_MATMUL_DESC_TRANSA)
    product->transposed = value_at<cublasOperation_t>(value) == CUBLAS_OP_T;
  if (what == CUBLASLT_MATMUL_DESC_BIAS_POINTER) product->bias = value_at<const float*>(value);
  return status();
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t,
                                          std::uint64_t rows, std::uint64_t columns,
                                          std::int64_t stride) {
  return make(layout, rows, columns, stride);
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return destroy(layout);
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return make(preference);
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return destroy(preference);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t,
                                                    const void*, std::size_t) {
  return status();
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t, int,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* found) {
  results[0].algo.chosen = 1;
  *found = 1;
  return status();
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t product, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                              cublasLtMatrixLayout_t, void* d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algorithm, void*, std::size_t,
                              cudaStream_t stream) {
  const bool known = product->transposed && algorithm->chosen == 1 && c == d &&
                     a_layout->rows == b_layout->rows && a_layout->columns == d_layout->rows &&
                     b_layout->columns == d_layout->columns;
  if (!known) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (const cublasStatus_t code = status(); code != CUBLAS_STATUS_SUCCESS) return code;
  fake_cuda::queue(
      stream, [p = *product, a = static_cast<const std::uint16_t*>(a),
               b = static_cast<const std::uint16_t*>(b), d = static_cast<float*>(d), la = *a_layout,
               lb = *b_layout, ld = *d_layout, scale = *static_cast<const float*>(alpha),
               keep = *static_cast<const float*>(beta)] {
        using tyto::quant::BF16;
        for (std::uint64_t column = 0; column < ld.columns; ++column)
          for (std::uint64_t row = 0; row < ld.rows; ++row) {
            float sum = 0;
            for (std::uint64_t k = 0; k < la.rows; ++k)
              sum += to_float(BF16{a[row * static_cast<std::uint64_t>(la.stride) + k]}) *
                     to_float(BF16{b[column * static_cast<std::uint64_t>(lb.stride) + k]});
            float& out = d[column * static_cast<std::uint64_t>(ld.stride) + row];
            out = scale * sum + (keep != 0 ? keep * out : 0) + (p.bias ? p.bias[row] : 0);
          }
      });
  return CUBLAS_STATUS_SUCCESS;
}

namespace tyto::cuda {

const BlasLibrary* blas_library() noexcept {
  static const BlasLibrary library{cublasLtCreate,
                                   cublasLtDestroy,
                                   cublasLtMatmulDescCreate,
                                   cublasLtMatmulDescDestroy,
                                   cublasLtMatmulDescSetAttribute,
                                   cublasLtMatrixLayoutCreate,
                                   cublasLtMatrixLayoutDestroy,
                                   cublasLtMatmulPreferenceCreate,
                                   cublasLtMatmulPreferenceDestroy,
                                   cublasLtMatmulPreferenceSetAttribute,
                                   cublasLtMatmulAlgoGetHeuristic,
                                   cublasLtMatmul};
  return fake_cuda::machine().has_blas ? &library : nullptr;
}

}  // namespace tyto::cuda
