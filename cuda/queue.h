// A device and the stream on which everything of one backend happens, in order.
#pragma once
#include "cuda/device.h"
#include "cuda/matrix.h"

namespace tyto::cuda {

struct Queue {
  int device = 0;
  int multiprocessors = 1;
  Order order = Order::fastest;
  Stream stream;
};

}  // namespace tyto::cuda
