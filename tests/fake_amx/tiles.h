// The tiles of a thread, and what each AMX instruction does to them, as the Intel 64 manual's pages
// of the instructions say (volume 2, palette 1). What a processor would refuse ends the program, as
// does what no kernel here has a use for: other palettes, and loads that go on after a fault.
#pragma once
#include <cstddef>
#include <cstdint>

namespace fake_amx {

// Says why on the error stream, and aborts: the test program runs kernels that must not do this.
[[noreturn]] void refuse(const char* why);

struct Tile {
  std::uint8_t rows = 0;
  std::uint16_t row_bytes = 0;
  alignas(64) std::byte data[16][64];
};

class Tiles {
 public:
  void configure(const void* config);  // LDTILECFG, of 64 bytes
  void release();                      // TILERELEASE

  void zero(int tile);                                                // TILEZERO
  void load(int tile, const void* from, std::ptrdiff_t stride);       // TILELOADD
  void store(int tile, void* to, std::ptrdiff_t stride);              // TILESTORED
  void multiply_signed(int sums, int records, int weights);           // TDPBSSD
  void multiply_signed_unsigned(int sums, int records, int weights);  // TDPBSUD
  void multiply_bf16(int sums, int records, int weights);             // TDPBF16PS

 private:
  Tile& at(int tile);
  void check_product(int sums, int records, int weights);

  bool configured_ = false;
  Tile tiles_[8];
};

}  // namespace fake_amx
