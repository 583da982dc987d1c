// The ISA that this run of the suite is for, from TYTO_FORCE_ISA.
#pragma once
#include <cstdlib>
#include <string_view>

#include "tyto/model.h"

namespace tyto::test {

inline Isa isa_under_test() {
  const char* name = std::getenv("TYTO_FORCE_ISA");
  const std::string_view isa = name ? name : "";
  if (isa == "scalar") return Isa::scalar;
  if (isa == "avx2") return Isa::avx2;
  if (isa == "avx512") return Isa::avx512;
  if (isa == "amx") return Isa::amx;
  if (isa == "neon") return Isa::neon;
  return Isa::best;
}

}  // namespace tyto::test
