// A program of the CPU backend: stages bound to buffers once, run by the team step after step.
#pragma once
#include <memory>

#include "cpu/cpu_cache.h"
#include "cpu/lowered.h"
#include "cpu/workspace.h"
#include "src/runtime.h"
#include "src/step_limits.h"

namespace tyto::cpu {

// weights: the packed block.
std::unique_ptr<Program> new_cpu_program(std::shared_ptr<Runtime> runtime, const IsaTable& isa,
                                         Lowered lowered, const std::byte* weights,
                                         const CpuCache& cache, StepLimits limits, Workspace layout,
                                         LargeBlock workspace);

}  // namespace tyto::cpu
