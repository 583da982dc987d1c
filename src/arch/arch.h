// A model family: a function from a model file to a Plan. One file here per family; it defines
//   namespace tyto::arch { extern const Family <file name>; const Family <file name>{...}; }
// and the build writes the list of all of them (families()).
#pragma once
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "src/file/tensor_source.h"
#include "src/plan.h"
#include "tyto/result.h"

namespace tyto::arch {

struct Family {
  std::string_view name;  // general.architecture in GGUF
  Result<Plan> (*lower)(const file::ModelFile& file);
};

std::span<const Family* const> families() noexcept;
// Finds the file's family and lowers it. `unsupported` names the architecture and those that are
// known.
Result<Plan> lower(const file::ModelFile& file);

}  // namespace tyto::arch
