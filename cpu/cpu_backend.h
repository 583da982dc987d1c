// The CPU: weights packed for one instruction set, steps run by the runtime's threads.
#pragma once
#include <memory>

#include "src/backend.h"

namespace tyto::cpu {

// `unsupported` where this build or this machine lacks the ISA.
Result<std::unique_ptr<Backend>> new_cpu_backend(std::shared_ptr<Runtime> runtime, Isa isa);

}  // namespace tyto::cpu
