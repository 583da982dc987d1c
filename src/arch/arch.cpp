#include "src/arch/arch.h"

#include "src/base/error.h"
#include "src/file/quoted.h"

namespace tyto::arch {

Result<Plan> lower(const file::ModelFile& file) {
  TYTO_TRY(const std::string_view name, file.metadata().text("general.architecture"));
  std::string known;
  for (const Family* family : families()) {
    if (family->name == name) return family->lower(file);
    known += known.empty() ? "" : ", ";
    known += family->name;
  }
  return fail(ErrorCode::unsupported, "{}: architecture {} is not supported; known are {}",
              file.name(), file::quoted(name), known);
}

}  // namespace tyto::arch
