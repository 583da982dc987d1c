#include "cpu/isa_table.h"

#include <cstddef>

#include "cpu/features.h"

namespace tyto::cpu {
namespace {

const IsaTable* scalar_table() noexcept {
  static const IsaTable table{"scalar", Isa::scalar, scalar_linear(), &scalar_row_kernels()};
  return &table;
}

}  // namespace

const LinearKernel& IsaTable::kernel(const quant::Format& format) const noexcept {
  std::size_t i = 0;
  while (linear.kernels[i]->format->gguf_type != format.gguf_type)
    ++i;  // every table has every format
  return *linear.kernels[i];
}

const IsaTable* find_table(Isa isa) noexcept {
  switch (isa) {
    case Isa::best:
      for (const Isa candidate : {Isa::avx512, Isa::avx2})
        if (const IsaTable* table = find_table(candidate)) return table;
      return scalar_table();
    case Isa::scalar:
      return scalar_table();
    case Isa::avx2:
    case Isa::avx512:
      return nullptr;
  }
  return nullptr;
}

}  // namespace tyto::cpu
