// How fast this machine multiplies at best: loops over registers alone, the roofs under which
// kernels are judged.
#pragma once
#include <string_view>
#include <vector>

namespace tyto::bench {

struct Unit {
  std::string_view name;  // "int8_vnni"
  double macs;            // multiply-accumulates of one round of `loop`
  void (*loop)(long rounds);
};

// Those that this machine has: f32, bf16, int8_vnni (AVX-512), int8_amx, bf16_amx.
const std::vector<Unit>& arithmetic_units();

// Multiply-accumulates per second that `threads` threads, pinned one to a core, do together: the
// best of many short attempts. 0 for a unit that is not there.
double arithmetic_peak(std::string_view unit, int threads);

}  // namespace tyto::bench
