#include "cpu/isa_table.h"

#include <cstddef>

#include "cpu/amx.h"
#include "cpu/features.h"

namespace tyto::cpu {
namespace {

const IsaTable* scalar_table() noexcept {
  static const IsaTable table{"scalar", Isa::scalar, scalar_linear(), &scalar_row_kernels()};
  return &table;
}

#if defined(__x86_64__) || defined(_M_X64)
const IsaTable* avx2_table(bool to_run) noexcept {
  static const IsaTable table{"avx2", Isa::avx2, avx2_linear(), &avx2_row_kernels()};
  return !to_run || detect_features().avx2 ? &table : nullptr;
}

const IsaTable* avx512_table(bool to_run) noexcept {
  static const IsaTable table{"avx512", Isa::avx512,
                              avx512_linear(detect_features().avx512_bf16, false),
                              &avx512_row_kernels(detect_features().avx512_bf16)};
  return !to_run || detect_features().avx512 ? &table : nullptr;
}

const IsaTable* amx_table(bool to_run) noexcept {
  static const IsaTable table{
      "amx", Isa::amx, avx512_linear(detect_features().avx512_bf16, true),
      detect_features().avx512_bf16 ? &amx_row_kernels() : &avx512_row_kernels(false)};
  return !to_run || (detect_features().avx512 && enable_amx()) ? &table : nullptr;
}
#else
const IsaTable* avx2_table(bool) noexcept { return nullptr; }
const IsaTable* avx512_table(bool) noexcept { return nullptr; }
const IsaTable* amx_table(bool) noexcept { return nullptr; }
#endif

#if defined(__aarch64__)
const IsaTable* neon_table(bool to_run) noexcept {
  static const IsaTable table{"neon", Isa::neon, neon_linear(detect_features().neon_i8mm),
                              &neon_row_kernels()};
  return !to_run || detect_features().neon ? &table : nullptr;
}
#else
const IsaTable* neon_table(bool) noexcept { return nullptr; }
#endif

}  // namespace

const LinearKernel& IsaTable::kernel(const quant::Format& format) const noexcept {
  std::size_t i = 0;
  while (linear.kernels[i]->format->gguf_type != format.gguf_type)
    ++i;  // every table has every format
  return *linear.kernels[i];
}

const IsaTable* find_table(Isa isa, bool to_run) noexcept {
  switch (isa) {
    case Isa::best:
      for (const Isa candidate : {Isa::amx, Isa::avx512, Isa::avx2, Isa::neon})
        if (const IsaTable* table = find_table(candidate)) return table;
      return scalar_table();
    case Isa::scalar:
      return scalar_table();
    case Isa::avx2:
      return avx2_table(to_run);
    case Isa::avx512:
      return avx512_table(to_run);
    case Isa::amx:
      return amx_table(to_run);
    case Isa::neon:
      return neon_table(to_run);
  }
  return nullptr;
}

}  // namespace tyto::cpu
