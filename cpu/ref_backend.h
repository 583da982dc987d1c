// The oracle: every block in the plainest loops, float32 weights, one thread, no SIMD. Slow on
// purpose; every fast kernel is tested against it.
#pragma once
#include <memory>

#include "src/backend.h"

namespace tyto::cpu {

Result<std::unique_ptr<Backend>> new_reference_backend(std::shared_ptr<Runtime> runtime);

}  // namespace tyto::cpu
