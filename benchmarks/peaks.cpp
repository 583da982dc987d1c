#include "benchmarks/peaks.h"

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <thread>

#include "cpu/features.h"
#include "examples/cli/system.h"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tyto::bench {
namespace {

#if defined(__x86_64__) && defined(__GNUC__)

// Assembly, so that no compiler spills, reorders or miscompiles (g++ 12 does, where AMX is
// concerned). Ten chains hide the latency of any unit. 16 to 27 are registers that code without
// AVX-512 does not know, so none needs to be saved. The factors are ones in every type.
#define TYTO_CHAIN(instruction, i) instruction " %%zmm16, %%zmm17, %%zmm" #i "\n"
#define TYTO_LOOP(name, instruction, one)                                                      \
  void name(long rounds) {                                                                     \
    asm volatile(                                                                            \
        "vpbroadcastd %1, %%zmm16\n vmovdqa64 %%zmm16, %%zmm17\n"                            \
        "1:\n" TYTO_CHAIN(instruction, 18) TYTO_CHAIN(instruction, 19)                       \
            TYTO_CHAIN(instruction, 20) TYTO_CHAIN(instruction, 21)                          \
                TYTO_CHAIN(instruction, 22) TYTO_CHAIN(instruction, 23)                      \
                    TYTO_CHAIN(instruction, 24) TYTO_CHAIN(instruction, 25)                  \
                        TYTO_CHAIN(instruction, 26) TYTO_CHAIN(instruction, 27) "dec %0\n"   \
        "jnz 1b\n"                                                                           \
        "vzeroupper\n"                                                                       \
        : "+r"(rounds)                                                                       \
        : "r"(one)                                                                           \
        : "cc"); \
  }
TYTO_LOOP(f32, "vfmadd231ps", 0x3f800000)
TYTO_LOOP(bf16, "vdpbf16ps", 0x3f803f80)
TYTO_LOOP(int8_vnni, "vpdpbusd", 0x01010101)
#undef TYTO_LOOP
#undef TYTO_CHAIN

// Eight tiles of 16 rows of 64 bytes: four sums of products of two by two.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

#define TYTO_LOOP(name, instruction)                                                    \
  void name(long rounds) {                                                              \
    const TileConfig config;                                                            \
    asm volatile(                                                                       \
        "ldtilecfg %1\n"                                                                \
        "tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n tilezero %%tmm3\n"       \
        "tilezero %%tmm4\n tilezero %%tmm5\n tilezero %%tmm6\n tilezero %%tmm7\n"       \
        "1:\n" instruction " %%tmm6, %%tmm4, %%tmm0\n" instruction                      \
        " %%tmm7, %%tmm4, %%tmm1\n" instruction " %%tmm6, %%tmm5, %%tmm2\n" instruction \
        " %%tmm7, %%tmm5, %%tmm3\n"                                                     \
        "dec %0\n"                                                                      \
        "jnz 1b\n"                                                                      \
        "tilerelease\n"                                                                 \
        : "+r"(rounds)                                                                  \
        : "m"(config)                                                                   \
        : "cc");                                                                        \
  }
TYTO_LOOP(int8_amx, "tdpbssd")
TYTO_LOOP(bf16_amx, "tdpbf16ps")
#undef TYTO_LOOP

// Processor and operating system: Linux lets a process use tiles once it has asked.
bool have_tiles() {
#if defined(__linux__)
  std::uint32_t eax = 7, ebx = 0, ecx = 0, edx = 0;
  asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  constexpr std::uint32_t kBf16 = 1u << 22, kTiles = 1u << 24, kInt8 = 1u << 25;
  constexpr std::uint32_t kAll = kBf16 | kTiles | kInt8;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return (edx & kAll) == kAll && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

std::vector<Unit> find_units() {
  constexpr int kChains = 10, kTiles = 4;
  const cpu::Features features = cpu::detect_features();
  std::vector<Unit> units;
  if (!features.avx512) return units;
  units.push_back({"f32", kChains * 16, f32});
  units.push_back({"int8_vnni", kChains * 64, int8_vnni});
  if (features.avx512_bf16) units.push_back({"bf16", kChains * 32, bf16});
  if (!have_tiles()) return units;
  units.push_back({"int8_amx", kTiles * 16 * 16 * 64, int8_amx});
  units.push_back({"bf16_amx", kTiles * 16 * 16 * 32, bf16_amx});
  return units;
}

#else
std::vector<Unit> find_units() { return {}; }
#endif

using Seconds = std::chrono::duration<double>;
using SteadyClock = std::chrono::steady_clock;

// The shortest time in which all threads did `rounds` rounds each.
double best_seconds(const Unit& unit, int threads, long rounds, int attempts) {
  const auto count = static_cast<std::size_t>(threads);
  std::vector<SteadyClock::time_point> begins(count), ends(count);
  std::barrier together(threads);
  double best = 1e9;
  const auto work = [&](std::size_t index) {
    cli::pin_this_thread(static_cast<int>(index));
    for (int attempt = 0; attempt < attempts; ++attempt) {
      together.arrive_and_wait();
      begins[index] = SteadyClock::now();
      unit.loop(rounds);
      ends[index] = SteadyClock::now();
      together.arrive_and_wait();
      if (index == 0)
        best = std::min(best, Seconds(*std::max_element(ends.begin(), ends.end()) -
                                      *std::min_element(begins.begin(), begins.end()))
                                  .count());
    }
  };
  std::vector<std::thread> team;
  for (std::size_t i = 0; i < count; ++i) team.emplace_back(work, i);
  for (std::thread& thread : team) thread.join();
  return best;
}

}  // namespace

const std::vector<Unit>& arithmetic_units() {
  static const std::vector<Unit> units = find_units();
  return units;
}

double arithmetic_peak(std::string_view name, int threads) {
  constexpr long kRounds = 50000;  // a tenth of a millisecond, or one
  constexpr int kAttempts = 200;
  for (const Unit& unit : arithmetic_units())
    if (unit.name == name)
      return unit.macs * kRounds * threads / best_seconds(unit, threads, kRounds, kAttempts);
  return 0;
}

}  // namespace tyto::bench
