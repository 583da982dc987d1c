// How fast this machine reads memory: the bound of every decode step.
#pragma once
#include <cstdint>

namespace cli {

// Bytes per second that `threads` threads, pinned one to a core, read together from a buffer, which
// should be far larger than any cache; the best of several passes.
double read_bandwidth(int threads, std::uint64_t buffer_bytes);

}  // namespace cli
