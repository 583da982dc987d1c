#include "tests/fake_amx/tiles.h"

#include <immintrin.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace fake_amx {
namespace {

// A product takes thousands of multiplications: as loops that the compiler makes vectors of. (Every
// machine that gets here has AVX-512.)
#define FAKE_AMX_VECTORS __attribute__((target("avx512f,avx512bw,fma")))

template <class T>
T element(const Tile& tile, int row, int index) {
  T value;
  std::memcpy(&value, &tile.data[row][static_cast<std::size_t>(index) * sizeof(T)], sizeof(T));
  return value;
}

// sums[m][n] += the products of bytes 4k to 4k + 3 of record m and of word n of row k of the
// weights. Sums wrap.
template <class WeightCode>
FAKE_AMX_VECTORS void multiply_bytes(Tile& sums, const Tile& records, const Tile& weights) {
  for (int m = 0; m < sums.rows; ++m) {
    std::uint32_t row[16];
    std::memcpy(row, sums.data[m], sizeof(row));
    for (int k = 0; k < records.row_bytes / 4; ++k)
      for (int n = 0; n < sums.row_bytes / 4; ++n)
        for (int i = 0; i < 4; ++i)
          row[n] += static_cast<std::uint32_t>(element<std::int8_t>(records, m, 4 * k + i) *
                                               element<WeightCode>(weights, k, 4 * n + i));
    std::memcpy(sums.data[m], row, sizeof(row));
  }
}

float bf16(const Tile& tile, int row, int index) {
  const std::uint32_t bits = std::uint32_t{element<std::uint16_t>(tile, row, index)} << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

}  // namespace

void refuse(const char* why) {
  for (const char* part : {"AMX, as a processor would: ", why, "\n"})
    if (write(STDERR_FILENO, part, std::strlen(part)) < 0) break;
  std::abort();
}

Tile& Tiles::at(int tile) {
  if (!configured_) refuse("a tile is used, and none is configured (#UD)");
  if (tiles_[tile].rows == 0) refuse("a tile without rows is used (#UD)");
  return tiles_[tile];
}

void Tiles::configure(const void* config) {
  struct {
    std::uint8_t palette, start_row, reserved[14];
    std::uint16_t row_bytes[16];
    std::uint8_t rows[16];
  } wanted;
  static_assert(sizeof(wanted) == 64);
  std::memcpy(&wanted, config, sizeof(wanted));
  if (wanted.palette != 1 || wanted.start_row != 0) refuse("LDTILECFG: palette, start row");
  for (const std::uint8_t byte : wanted.reserved)
    if (byte != 0) refuse("LDTILECFG: a reserved byte (#GP)");
  for (int t = 0; t < 16; ++t) {
    const int rows = wanted.rows[t], bytes = wanted.row_bytes[t];
    if (rows > 16 || bytes > 64 || (rows == 0) != (bytes == 0) || (t >= 8 && rows != 0))
      refuse("LDTILECFG: a tile's shape (#GP)");
    if (t < 8) {
      tiles_[t] = Tile();
      tiles_[t].rows = wanted.rows[t];
      tiles_[t].row_bytes = wanted.row_bytes[t];
    }
  }
  configured_ = true;
}

void Tiles::release() { configured_ = false; }

void Tiles::zero(int tile) { std::memset(at(tile).data, 0, sizeof(Tile::data)); }

void Tiles::load(int tile, const void* from, std::ptrdiff_t stride) {
  Tile& to = at(tile);
  zero(tile);  // what lies outside the shape, too
  for (int m = 0; m < to.rows; ++m)
    std::memcpy(to.data[m], static_cast<const std::byte*>(from) + m * stride, to.row_bytes);
}

void Tiles::store(int tile, void* to, std::ptrdiff_t stride) {
  const Tile& from = at(tile);
  for (int m = 0; m < from.rows; ++m)
    std::memcpy(static_cast<std::byte*>(to) + m * stride, from.data[m], from.row_bytes);
}

void Tiles::check_product(int sums, int records, int weights) {
  if (sums == records || sums == weights || records == weights)
    refuse("a product of a tile and itself (#UD)");
  const Tile &s = at(sums), &a = at(records), &b = at(weights);
  if (s.rows != a.rows || s.row_bytes != b.row_bytes || a.row_bytes != 4 * b.rows ||
      s.row_bytes % 4 != 0)
    refuse("a product of tiles whose shapes do not fit (#UD)");
}

void Tiles::multiply_signed(int sums, int records, int weights) {
  check_product(sums, records, weights);
  multiply_bytes<std::int8_t>(at(sums), at(records), at(weights));
}

void Tiles::multiply_signed_unsigned(int sums, int records, int weights) {
  check_product(sums, records, weights);
  multiply_bytes<std::uint8_t>(at(sums), at(records), at(weights));
}

// Even and odd values of k are summed apart, by fused multiply-add, both from zero; then their sum
// is added. Rounded to nearest, and subnormal numbers are zero, whatever the thread has set.
FAKE_AMX_VECTORS void Tiles::multiply_bf16(int sums, int records, int weights) {
  check_product(sums, records, weights);
  Tile& to = at(sums);
  const Tile &a = at(records), &b = at(weights);
  constexpr unsigned kFlushResults = 0x8000, kZeroInputs = 0x0040, kNoTraps = 0x1f80;
  const unsigned before = _mm_getcsr();
  _mm_setcsr(kFlushResults | kZeroInputs | kNoTraps);
  asm volatile("" ::: "memory");  // no arithmetic on either way past this
  const int lanes = to.row_bytes / 4;
  for (int m = 0; m < to.rows; ++m) {
    float even[16] = {}, odd[16] = {}, row[16];
    for (int k = 0; k < a.row_bytes / 4; ++k) {
      const float first = bf16(a, m, 2 * k), second = bf16(a, m, 2 * k + 1);
      for (int n = 0; n < lanes; ++n) {
        even[n] = std::fma(first, bf16(b, k, 2 * n), even[n]);
        odd[n] = std::fma(second, bf16(b, k, 2 * n + 1), odd[n]);
      }
    }
    std::memcpy(row, to.data[m], sizeof(row));
    for (int n = 0; n < lanes; ++n) row[n] += even[n] + odd[n];
    std::memcpy(to.data[m], row, sizeof(row));
  }
  asm volatile("" ::: "memory");
  _mm_setcsr(before);
}

}  // namespace fake_amx
