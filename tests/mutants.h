// Broken files by the thousand: a valid file with a few random changes, the same ones for the same
// seed.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>

#include "tests/gguf_writer.h"

namespace tyto::test {

// Changes one to four places in the first `header` bytes.
inline Bytes mutant(Bytes bytes, std::size_t header, std::uint32_t seed) {
  static constexpr std::uint64_t kNasty[] = {0,
                                             1,
                                             2,
                                             3,
                                             4,
                                             7,
                                             8,
                                             9,
                                             12,
                                             13,
                                             31,
                                             32,
                                             33,
                                             255,
                                             256,
                                             65535,
                                             65536,
                                             0x7FFFFFFF,
                                             0x80000000,
                                             0xFFFFFFFF,
                                             std::uint64_t{1} << 32,
                                             std::uint64_t{1} << 60,
                                             std::uint64_t{1} << 62,
                                             (std::uint64_t{1} << 63) - 1,
                                             std::uint64_t{1} << 63,
                                             UINT64_MAX - 31,
                                             UINT64_MAX - 7,
                                             UINT64_MAX};
  std::mt19937 random(seed);
  for (std::uint32_t changes = 1 + random() % 4; changes > 0; --changes) {
    const std::size_t at = random() % std::min(header, bytes.size());
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const std::size_t room = bytes.size() - at;
    const std::uint64_t value = kNasty[random() % std::size(kNasty)];
    switch (random() % 6) {
      case 0:
        bytes[at] ^= static_cast<std::byte>(1u << (random() % 8));
        break;
      case 1:
        bytes[at] = static_cast<std::byte>(random());
        break;
      case 2:
        std::memcpy(&bytes[at], &value, std::min<std::size_t>(room, 4));
        break;
      case 3:
        std::memcpy(&bytes[at], &value, std::min<std::size_t>(room, 8));
        break;
      case 4:
        bytes.erase(begin, begin + static_cast<std::ptrdiff_t>(
                                       std::min<std::size_t>(room - 1, 1 + random() % 16)));
        break;
      default:
        bytes.insert(begin, 1 + random() % 16, static_cast<std::byte>(random()));
        break;
    }
  }
  return bytes;
}

}  // namespace tyto::test
