// Everything one instruction set (ISA) offers, chosen once when a backend is made.
#pragma once
#include <string_view>

#include "cpu/linear.h"
#include "cpu/row_kernels.h"
#include "tyto/model.h"

namespace tyto::cpu {

struct IsaTable {
  std::string_view name;  // "avx512"; amx has its layouts
  Isa isa;
  LinearTable linear;
  const RowKernels* rows;

  const LinearKernel& kernel(const quant::Format& format) const noexcept;
};

// Null: this build or this machine lacks it. `best` is the best this machine can run. Not to run: a
// table whose kernels' sizes and `pack` alone may be called, on any machine.
const IsaTable* find_table(Isa isa, bool to_run = true) noexcept;

}  // namespace tyto::cpu
