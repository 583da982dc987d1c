// A device and the stream on which everything of one backend happens, in order.
#pragma once
#include <memory>

#include "cuda/blas.h"
#include "cuda/device.h"

namespace tyto::cuda {

struct Queue {
  int device = 0;
  Order order = Order::fastest;
  std::shared_ptr<const Blas> blas;  // null: none
  Stream stream;
};

}  // namespace tyto::cuda
