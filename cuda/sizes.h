// Sizes in device memory.
#pragma once
#include <cstddef>

namespace tyto::cuda {

constexpr std::size_t size(int count) { return static_cast<std::size_t>(count); }

// What lies in one allocation begins at multiples of this.
inline constexpr std::size_t kAlignment = 256;
constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace tyto::cuda
