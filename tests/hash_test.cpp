#include "src/base/hash.h"

#include <cstring>
#include <vector>

#include "tests/catch.h"

using tyto::Hash128;

// The self-check of SMHasher, the test suite MurmurHash3 comes with: hash 256 keys of growing
// length, each with its own seed, then hash the hashes.
TEST_CASE("The 128-bit hash is MurmurHash3", "[base]") {
  std::vector<std::byte> key;
  Hash128 of_hashes;
  for (std::uint32_t i = 0; i < 256; ++i) {
    Hash128 hash(256 - i);
    hash.update(key);
    for (const std::uint64_t half : hash.value()) of_hashes.update(half);
    key.push_back(static_cast<std::byte>(i));
  }
  CHECK(static_cast<std::uint32_t>(of_hashes.value()[0]) == 0x6384BA69u);
}

TEST_CASE("A hash does not depend on how its bytes arrive", "[base]") {
  std::vector<std::byte> bytes(200);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7);
  Hash128 whole;
  whole.update(bytes);
  for (std::size_t piece = 1; piece < 40; ++piece) {
    Hash128 pieces;
    for (std::size_t at = 0; at < bytes.size(); at += piece)
      pieces.update(std::span(bytes).subspan(at, std::min(piece, bytes.size() - at)));
    CHECK(pieces.hex() == whole.hex());
  }
  CHECK(whole.hex().size() == 32);
}
