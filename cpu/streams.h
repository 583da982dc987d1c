// How the cores of this machine are best asked for weights, which come from memory.
#pragma once

namespace tyto::cpu {

// On AMD's processors (measured on Zen 4) prefetches to the first-level cache take up the places in
// which it waits for lines, and a core's own prefetchers follow one stream at the speed of memory.
// So there up to three rows read one panel at a time and ask for nothing, and more rows ask for
// the lines of their panels to come to the second level first. Elsewhere (measured on Sapphire
// Rapids) prefetchers lose a stream at the end of each page: four panels are read at once, and
// asked for ahead.
bool one_stream() noexcept;

}  // namespace tyto::cpu
