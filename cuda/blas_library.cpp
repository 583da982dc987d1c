#include "cuda/blas_library.h"

#include <dlfcn.h>

#include <type_traits>

#define TYTO_TEXT_(value) #value
#define TYTO_TEXT(value) TYTO_TEXT_(value)

namespace tyto::cuda {
namespace {

// The library stays loaded: unloading it while a device works is no gain.
class Opened {
 public:
  Opened() {
    void* const file = dlopen("libcublasLt.so." TYTO_TEXT(CUBLAS_VER_MAJOR), RTLD_NOW | RTLD_LOCAL);
    found_ = file != nullptr;
    const auto find = [&](auto& function, const char* symbol) {
      if (found_)
        function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(file, symbol));
      found_ = found_ && function;
    };
    find(library_.create, "cublasLtCreate");
    find(library_.destroy, "cublasLtDestroy");
    find(library_.new_product, "cublasLtMatmulDescCreate");
    find(library_.free_product, "cublasLtMatmulDescDestroy");
    find(library_.set_product, "cublasLtMatmulDescSetAttribute");
    find(library_.new_layout, "cublasLtMatrixLayoutCreate");
    find(library_.free_layout, "cublasLtMatrixLayoutDestroy");
    find(library_.new_preference, "cublasLtMatmulPreferenceCreate");
    find(library_.free_preference, "cublasLtMatmulPreferenceDestroy");
    find(library_.set_preference, "cublasLtMatmulPreferenceSetAttribute");
    find(library_.choose, "cublasLtMatmulAlgoGetHeuristic");
    find(library_.multiply, "cublasLtMatmul");
  }
  const BlasLibrary* get() const { return found_ ? &library_ : nullptr; }

 private:
  BlasLibrary library_{};
  bool found_ = false;
};

}  // namespace

const BlasLibrary* blas_library() noexcept {
  static const Opened opened;
  return opened.get();
}

}  // namespace tyto::cuda
