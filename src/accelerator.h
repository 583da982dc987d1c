// Devices that a component of its own brings (tyto/cuda.h), handed in by the host
// (ModelOptions::accelerator): the core links none of them.
#pragma once
#include <memory>
#include <string_view>

#include "src/backend.h"
#include "tyto/result.h"

namespace tyto {
inline namespace v1 {

// Immutable; may be shared between threads.
class Accelerator {
 public:
  virtual ~Accelerator() = default;
  // ModelOptions::device begins with it: "cuda" or "cuda:1".
  virtual std::string_view kind() const noexcept = 0;
  // `unsupported` where there is no such device.
  virtual Result<std::unique_ptr<Backend>> open(int device) const = 0;
};

}  // namespace v1
}  // namespace tyto
