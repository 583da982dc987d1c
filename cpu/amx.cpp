#include "cpu/amx.h"

#if defined(__linux__) && defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tyto::cpu {

// Linux saves the 8 KiB of tile registers only for processes that have asked for it (arch_prctl,
// ARCH_REQ_XCOMP_PERM). That is the one thing here that changes the process as a whole: from then
// on the kernel refuses alternate signal stacks too small for the larger frame
// (sysconf(_SC_MINSIGSTKSZ) tells). If one is in use already, the request itself is refused, and we
// do without.
bool enable_amx() noexcept {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25;
  constexpr unsigned kAll = kBf16 | kTile | kInt8;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  if ((d & kAll) != kAll) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace tyto::cpu

#else

namespace tyto::cpu {
bool enable_amx() noexcept { return false; }
}  // namespace tyto::cpu

#endif
