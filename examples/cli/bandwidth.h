// How fast this machine reads memory: the bound of every decode step.
#pragma once

namespace cli {

// Bytes per second that `threads` threads, pinned one to a core, read together from a buffer far
// larger than any cache; the best of several passes.
double read_bandwidth(int threads);

}  // namespace cli
