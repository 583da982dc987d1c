// The CPU: weights packed for one instruction set, steps run by the runtime's threads.
#pragma once
#include <memory>

#include "src/backend.h"

namespace tyto::cpu {

// `unsupported` where this build or this machine lacks the ISA. One that is not to run only packs,
// for any ISA of this build: packed_form and pack_to.
Result<std::unique_ptr<Backend>> new_cpu_backend(std::shared_ptr<Runtime> runtime, Isa isa,
                                                 bool to_run = true);

// The one that runs here and has the packed table of that name; or null.
std::unique_ptr<Backend> new_cpu_backend_for(std::shared_ptr<Runtime> runtime,
                                             std::string_view packed_table);

}  // namespace tyto::cpu
