#include "src/arch/arch.h"

namespace tyto::arch {
namespace {

Result<Plan> lower_llama(const file::ModelFile&) { return Error(ErrorCode::unsupported, "llama"); }

}  // namespace

extern const Family llama;
const Family llama{"llama", lower_llama};

}  // namespace tyto::arch
