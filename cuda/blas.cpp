#include "cuda/blas.h"

#include <algorithm>

namespace tyto::cuda {
namespace {

cudaError_t as_cuda_error(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return cudaSuccess;
    case CUBLAS_STATUS_ALLOC_FAILED:
      return cudaErrorMemoryAllocation;
    case CUBLAS_STATUS_INVALID_VALUE:
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return cudaErrorInvalidValue;
    default:
      return cudaErrorLaunchFailure;
  }
}

}  // namespace

Result<std::shared_ptr<const Blas>> Blas::open(int device) {
  const BlasLibrary* const library = blas_library();
  if (!library) return std::shared_ptr<const Blas>();
  const DeviceScope scope(device);
  cublasLtHandle_t handle = nullptr;
  const cublasStatus_t created = library->create(&handle);
  if (created == CUBLAS_STATUS_ALLOC_FAILED)
    return fail(ErrorCode::device_memory, "cuda:{}: no memory for cuBLASLt", device);
  if (created != CUBLAS_STATUS_SUCCESS) return std::shared_ptr<const Blas>();
  return std::shared_ptr<const Blas>(new Blas(*library, device, handle));
}

Blas::~Blas() {
  const DeviceScope scope(device_);
  library_.destroy(handle_);
}

struct BlasProduct::Shape {
  explicit Shape(const BlasLibrary& of, int count) : library(of), rows(count) {}
  ~Shape() {
    if (product) library.free_product(product);
    for (const cublasLtMatrixLayout_t layout : {matrix, records, out})
      if (layout) library.free_layout(layout);
  }

  const BlasLibrary& library;
  const int rows;
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t matrix = nullptr, records = nullptr, out = nullptr;
  cublasLtMatmulAlgo_t algorithm{};
  bool served = false;
};

BlasProduct::BlasProduct(std::shared_ptr<const Blas> blas, const Products::Part& part,
                         const Records& x, std::byte* workspace)
    : blas_(std::move(blas)), part_(part), x_(x), workspace_(workspace) {}
BlasProduct::~BlasProduct() = default;

// Columns come first there: our rows are its columns, so out = matrix^T records.
cublasStatus_t BlasProduct::prepare(Shape& s) const {
  const BlasLibrary& library = blas_->library();
  const auto outputs = static_cast<std::uint64_t>(part_.matrix.rows);
  const auto width = static_cast<std::uint64_t>(part_.matrix.width);
  const auto rows = static_cast<std::uint64_t>(s.rows);
  const cublasOperation_t transposed = CUBLAS_OP_T;
  const cublasLtEpilogue_t adds_bias = CUBLASLT_EPILOGUE_BIAS;
  const std::uint32_t row_alignment = kFloatGroup * 2;
  cublasLtMatmulPreference_t wishes = nullptr;
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;

  cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
  const auto good = [&](cublasStatus_t code) {
    status = code;
    return code == CUBLAS_STATUS_SUCCESS;
  };
  const auto set = [&](cublasLtMatmulDescAttributes_t what, const auto& value) {
    return good(library.set_product(s.product, what, &value, sizeof(value)));
  };
  const auto wish = [&](cublasLtMatmulPreferenceAttributes_t what, const auto& value) {
    return good(library.set_preference(wishes, what, &value, sizeof(value)));
  };
  good(library.new_product(&s.product, CUBLAS_COMPUTE_32F, CUDA_R_32F)) &&
      set(CUBLASLT_MATMUL_DESC_TRANSA, transposed) &&
      (!part_.to.bias || (set(CUBLASLT_MATMUL_DESC_EPILOGUE, adds_bias) &&
                          set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, part_.to.bias))) &&
      good(library.new_layout(&s.matrix, CUDA_R_16BF, width, outputs, stride())) &&
      good(library.new_layout(&s.records, CUDA_R_16BF, width, rows, x_.stride)) &&
      good(library.new_layout(&s.out, CUDA_R_32F, outputs, rows, part_.to.stride)) &&
      good(library.new_preference(&wishes)) &&
      wish(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kBlasWorkspace) &&
      wish(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, row_alignment) &&
      good(library.choose(blas_->handle(), s.product, s.matrix, s.records, s.out, s.out, wishes, 1,
                          &best, &found));
  if (wishes) library.free_preference(wishes);
  s.algorithm = best.algo;
  return status == CUBLAS_STATUS_SUCCESS && found == 0 ? CUBLAS_STATUS_NOT_SUPPORTED : status;
}

std::int64_t BlasProduct::stride() const {
  return float_groups_of(part_.matrix.width) * kFloatGroup;
}

const BlasProduct::Shape* BlasProduct::known(int rows) const {
  const auto found = std::find_if(shapes_.begin(), shapes_.end(),
                                  [rows](const auto& shape) { return shape->rows == rows; });
  return found == shapes_.end() ? nullptr : found->get();
}

cudaError_t BlasProduct::find(int rows, bool& served) {
  if (!known(rows)) {
    auto shape = std::make_unique<Shape>(blas_->library(), rows);
    const bool possible = !(part_.to.bias && part_.to.add);
    const cublasStatus_t status = possible ? prepare(*shape) : CUBLAS_STATUS_NOT_SUPPORTED;
    shape->served = status == CUBLAS_STATUS_SUCCESS;
    if (!shape->served && status != CUBLAS_STATUS_NOT_SUPPORTED) return as_cuda_error(status);
    shapes_.push_back(std::move(shape));
  }
  served = known(rows)->served;
  return cudaSuccess;
}

cudaError_t BlasProduct::multiply(int rows, cudaStream_t stream) {
  const Shape& s = *known(rows);
  const std::byte* const matrix =
      part_.matrix.planes[kLowPlane] + part_.matrix.first_row * stride() * 2;
  const float one = 1, keep = part_.to.add ? 1 : 0;
  return as_cuda_error(blas_->library().multiply(
      blas_->handle(), s.product, &one, matrix, s.matrix, x_.halves, s.records, &keep, part_.to.out,
      s.out, part_.to.out, s.out, &s.algorithm, workspace_, kBlasWorkspace, stream));
}

}  // namespace tyto::cuda
