// What the processor can do, and the operating system saves on a context switch.
#pragma once

namespace tyto::cpu {

struct Features {
  bool avx2 = false;         // with FMA and F16C
  bool avx512 = false;       // F, BW, DQ, VL and VNNI
  bool avx512_bf16 = false;  // apart from VNNI: Ice Lake has one without the other
  bool neon = false;         // with DotProd
  bool neon_i8mm = false;    // apart from DotProd, which is older
  bool amd = false;          // made by AMD
};

Features detect_features() noexcept;

}  // namespace tyto::cpu
