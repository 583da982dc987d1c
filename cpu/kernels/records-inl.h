// Activation records (kernel_table.h) as the kernels read them.
#pragma once
#include "cpu/kernel_table.h"
#include "src/quant/blocks.h"

TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

TYTO_INLINE Ints broadcast_ints(const void* p) {  // the same 32 bits in every lane
  std::int32_t value;
  std::memcpy(&value, p, sizeof(value));
  return broadcast(value);
}

// Asks for a line that is wanted later than the first-level cache would keep it.
TYTO_INLINE void prefetch_second_level(const std::byte* line) { __builtin_prefetch(line, 0, 2); }

// How the first rows, and those after them, ask for weights (streams.h).
enum class Asking : unsigned char {
  first_level,
  second_level,
  again,  // for lines that the second level has, as earlier rows met the same weights just before
  nothing,
};
constexpr int kOneStreamRows = 3;  // up to here one stream without prefetches is faster than two
inline Asking asking_of(const Activations& x, int rows) {
  if (!x.one_stream) return Asking::first_level;
  return rows <= kOneStreamRows ? Asking::nothing : Asking::second_level;
}
inline Asking after(Asking asking) {
  return asking == Asking::second_level ? Asking::again : asking;
}

// Asks for the cache lines of kBytes weights that are kAhead bytes further on. The hardware's own
// prefetchers stop at the end of a page, which a stream of weights meets every few hundred
// nanoseconds.
constexpr std::size_t kAhead = 4096, kAheadAgain = 1024;
template <std::size_t kBytes>
TYTO_INLINE void prefetch(const std::byte* weights, Asking asking = Asking::first_level) {
  TYTO_UNROLL
  for (std::size_t line = 0; line < kBytes; line += 64) {
    if (asking == Asking::first_level)
      __builtin_prefetch(weights + kAhead + line);
    else if (asking == Asking::second_level)
      prefetch_second_level(weights + kAhead + line);
    else if (asking == Asking::again)
      __builtin_prefetch(weights + kAheadAgain + line);
  }
}

// At its end each of two panels that are read side by side asks so for the beginning of the panel
// behind it: of the two that come next, for the first one's alone. This asks for the other's.
inline void prefetch_beginning(const std::byte* panel) {
  for (std::size_t line = 0; line < kAhead; line += 64) prefetch_second_level(panel + line);
}

// Rows of records of one slice.
struct Records {
  const std::byte* first;
  std::size_t stride, scales, sums, sums32;
  Asking asking = Asking::first_level;
  Records(const Activations& x, const ActivationLayout& layout)
      : first(x.first),
        stride(x.stride),
        scales(layout.scales),
        sums(layout.sums),
        sums32(layout.sums32) {}
  TYTO_INLINE const std::byte* row(int r) const {
    return first + static_cast<std::size_t>(r) * stride;
  }
  TYTO_INLINE float scale(int r, std::size_t group) const {
    float value;
    std::memcpy(&value, row(r) + scales + group * sizeof(value), sizeof(value));
    return value;
  }
  // The sums of 2 times 16 codes, in the halves of every lane.
  TYTO_INLINE Ints sum_pair(int r, std::size_t block) const {
    return broadcast_ints(row(r) + sums + block * sizeof(std::int32_t));
  }
  // Two sums of 32 codes (kernel_table.h), likewise.
  TYTO_INLINE Ints sum32_pair(int r, std::size_t pair) const {
    return broadcast_ints(row(r) + sums32 + pair * sizeof(std::int32_t));
  }
};

// Two 16-bit numbers in a lane, for multiply_pairs and add_pairs.
constexpr std::int32_t halves(int low, int high) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(high) << 16 |
                                   (static_cast<std::uint32_t>(low) & 0xffffu));
}

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
