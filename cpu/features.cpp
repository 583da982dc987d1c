#include "cpu/features.h"

#if defined(__x86_64__) || defined(_M_X64)
#if defined(_MSC_VER)
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif

namespace tyto::cpu {
namespace {

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

// All zero for a leaf that this processor does not have. Intel's and AMD's manuals: CPUID.
Registers cpuid(unsigned leaf, unsigned subleaf) noexcept {
  Registers r;
#if defined(_MSC_VER)
  int out[4];
  __cpuid(out, 0);
  if (leaf > static_cast<unsigned>(out[0])) return r;
  __cpuidex(out, static_cast<int>(leaf), static_cast<int>(subleaf));
  r = {static_cast<unsigned>(out[0]), static_cast<unsigned>(out[1]), static_cast<unsigned>(out[2]),
       static_cast<unsigned>(out[3])};
#else
  __get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d);
#endif
  return r;
}

// Register sets that the operating system saves (XGETBV).
unsigned saved_state() noexcept {
#if defined(_MSC_VER)
  return static_cast<unsigned>(_xgetbv(0));
#else
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
#endif
}

constexpr bool all(unsigned value, unsigned bits) { return (value & bits) == bits; }
constexpr unsigned bit(int n) { return 1u << n; }

}  // namespace

Features detect_features() noexcept {
  Features f;
  const Registers maker = cpuid(0, 0), basic = cpuid(1, 0), more = cpuid(7, 0), most = cpuid(7, 1);
  f.amd = maker.b == 0x68747541 && maker.d == 0x69746e65 && maker.c == 0x444d4163;  // AuthenticAMD
  if (!all(basic.c, bit(27) | bit(28))) return f;                                   // OSXSAVE, AVX
  const unsigned saved = saved_state();
  constexpr unsigned kYmm = bit(1) | bit(2), kZmm = kYmm | bit(5) | bit(6) | bit(7);
  f.avx2 = all(saved, kYmm) && all(basic.c, bit(12) | bit(29)) && all(more.b, bit(5));
  const unsigned parts = bit(16) | bit(17) | bit(30) | bit(31);  // F, DQ, BW, VL
  f.avx512 = f.avx2 && all(saved, kZmm) && all(more.b, parts) && all(more.c, bit(11));
  f.avx512_bf16 = f.avx512 && more.a >= 1 && all(most.a, bit(5));
  return f;
}

}  // namespace tyto::cpu

#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

namespace tyto::cpu {

// The kernel's documentation: ARM64 ELF hwcaps.
Features detect_features() noexcept {
  Features f;
  f.neon = (getauxval(AT_HWCAP) & 1u << 20) != 0;                  // HWCAP_ASIMDDP
  f.neon_i8mm = f.neon && (getauxval(AT_HWCAP2) & 1u << 13) != 0;  // HWCAP2_I8MM
  return f;
}

}  // namespace tyto::cpu

#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>

#include <cstddef>

namespace tyto::cpu {
namespace {

// Apple's documentation: determining instruction set characteristics.
bool has(const char* name) noexcept {
  int value = 0;
  std::size_t size = sizeof(value);
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}

}  // namespace

Features detect_features() noexcept {
  Features f;
  f.neon = has("hw.optional.arm.FEAT_DotProd");
  f.neon_i8mm = f.neon && has("hw.optional.arm.FEAT_I8MM");
  return f;
}

}  // namespace tyto::cpu

#else

namespace tyto::cpu {
Features detect_features() noexcept { return {}; }
}  // namespace tyto::cpu

#endif
