// Kernels on float rows and on the key/value cache: norms, activations, rotary positions,
// attention. One set per instruction set; all are written once, over the vector of floats of
// cpu/simd.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cpu/cache_layout.h"

namespace tyto::cpu {

inline constexpr int kActivations = 3;  // indexed by Activation
inline constexpr int kSplitKeys = 512;  // keys of a split start at multiples of this: see attend
inline constexpr int kQueryTile =
    64;  // query vectors that one attend takes, unless one row alone has more

// The softmax state after some keys: largest score, sum of weights, weighted sum of values.
constexpr std::size_t partial_floats(int value_dim) {
  return static_cast<std::size_t>(value_dim) + 2;
}

// Rows of one sequence attend to the keys of one kv head.
struct AttendArgs {
  const float* q;  // [rows, q_row_stride], from the first query head of this kv head's group on
  std::size_t q_row_stride;
  float* out;  // [rows, out_row_stride], likewise
  std::size_t out_row_stride;
  int rows, group;  // group: query heads per kv head, adjacent
  int key_dim, value_dim;
  float scale;
  const std::int32_t* begin;  // [rows] keys seen: slots [begin, end)
  const std::int32_t* end;
  const std::byte* pages;  // this layer's and head's part of page 0
  std::size_t page_stride;
  const PageId* table;
  int first_split, last_split;  // which keys to look at: [first_split, last_split) * kSplitKeys
  float* partials;              // null: `out` gets the result. Otherwise each split's state goes to
  std::size_t partial_row_stride,
      partial_head_stride;  // partials + row, head and split times these strides
  std::byte* scratch;       // attend_bytes, 64-byte aligned
};

struct RowKernels {
  // `out` may be `x`.
  void (*rms_norm)(const float* x, const float* weight, std::size_t n, float eps, float* out);
  void (*layer_norm)(const float* x, const float* weight, const float* bias, std::size_t n,
                     float eps,
                     float* out);                                            // bias may be null
  void (*add)(const float* y, std::size_t n, float* x);                      // x += y
  void (*add_scaled)(const float* y, float scale, std::size_t n, float* x);  // x += scale * y
  void (*softmax)(float* x, std::size_t n);  // in place; not by vectors, so of few numbers
  void (*activate[kActivations])(const float* x, std::size_t n, float* out);
  void (*gate[kActivations])(const float* gate, const float* up, std::size_t n,
                             float* out);  // act(gate) * up
  // Rotates the first `dims` values of a head. cosines: [dims]; sines: [dims], those of a pair's
  // first value negated.
  void (*rotate)(float* head, const float* cosines, const float* sines, int dims, bool interleaved);
  // Stores one token's key and value, rounded to the cache type, in its slot of a page's part.
  void (*write_cache[kCacheTypes])(const float* key, int key_dim, const float* value, int value_dim,
                                   int slot, std::byte* part);
  // Softmax of scaled scores over keys, weighted sum of values, without the score matrix (Milakov
  // and Gimelshein 2018; Dao 2022). Each split of kSplitKeys keys is computed by itself, and splits
  // are merged in ascending order, so that it makes no difference which of them one call computes,
  // nor which rows come along.
  void (*attend[kCacheTypes])(const AttendArgs& args);
  // Scratch memory of a call with at most max(kQueryTile, group) query vectors.
  std::size_t (*attend_bytes)(int group, int key_dim, int value_dim);
  // The result from the partials of splits [0, splits) of one head of one row; uses them up.
  void (*merge_splits)(float* partials, int splits, int value_dim, float* out);
};

const RowKernels& scalar_row_kernels() noexcept;
#if defined(__x86_64__) || defined(_M_X64)
const RowKernels& avx2_row_kernels() noexcept;  // needs AVX2, FMA and F16C
// Needs AVX-512 F; bf16: and BW, VL and AVX512-BF16, by which it attends to a BF16 cache.
const RowKernels& avx512_row_kernels(bool bf16) noexcept;
const RowKernels& amx_row_kernels() noexcept;  // needs AVX-512 with BF16, and AMX-BF16
#endif
#if defined(__aarch64__)
const RowKernels& neon_row_kernels() noexcept;
#endif

}  // namespace tyto::cpu
