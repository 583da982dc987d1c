// Runtimes with more threads than the machine has cores.
#pragma once
#include <chrono>
#include <memory>

#include "src/runtime.h"

namespace tyto::test {

// With exactly so many workers.
inline std::shared_ptr<Runtime> runtime_of(int threads) {
  auto runtime = Runtime::create().value();
  runtime->impl().team = new_pool(threads, true, std::chrono::microseconds(20)).value();
  return runtime;
}

}  // namespace tyto::test
