// The attend kernels alone: a row's result has the same bits whatever rows come along, also where
// values that it does not see are infinite.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "cpu/isa_table.h"
#include "tests/catch.h"
#include "tests/isa_under_test.h"

using namespace tyto;
using namespace tyto::cpu;
using namespace tyto::test;

namespace {

constexpr int kKeys = 700;  // in two splits
const RowKernels& kernels() { return *find_table(isa_under_test())->rows; }

struct Setup {
  int group, key_dim, value_dim;
  CacheType type = CacheType::bf16;
  std::vector<float> q;
  std::vector<std::byte> pages;
  std::vector<PageId> table;
  PartLayout layout;

  Setup(int heads, int key_width, int value_width)
      : group(heads),
        key_dim(key_width),
        value_dim(value_width),
        layout(part_layout(type, key_width, value_width)) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    q.resize(static_cast<std::size_t>(kKeys * group * key_dim));
    for (float& x : q) x = 2 * normal(random);
    constexpr int kPages = (kKeys + kPageTokens - 1) / kPageTokens;
    pages.resize(kPages * layout.bytes);
    for (int p = kPages; p-- > 0;) table.push_back(static_cast<PageId>(p));
    for (int key = 0; key < kKeys; ++key) {
      std::vector<float> k(static_cast<std::size_t>(key_dim)),
          v(static_cast<std::size_t>(value_dim));
      for (float& x : k) x = normal(random);
      for (float& x : v) x = normal(random);
      write(key, k, v);
    }
  }
  void write(int key, const std::vector<float>& k, const std::vector<float>& v) {
    std::byte* part =
        pages.data() + static_cast<std::size_t>(table[key / kPageTokens]) * layout.bytes;
    kernels().write_cache[static_cast<int>(type)](k.data(), key_dim, v.data(), value_dim,
                                                  key % kPageTokens, part);
  }
  // Rows whose last keys are [first, first + rows) and that see `window` keys.
  std::vector<float> run(int first, int rows, int window = kKeys) const {
    std::vector<std::int32_t> begin, end;
    for (int r = first; r < first + rows; ++r) {
      begin.push_back(std::max(0, r + 1 - window));
      end.push_back(r + 1);
    }
    std::vector<float> out(static_cast<std::size_t>(rows * group * value_dim));
    std::vector<std::byte> memory(kernels().attend_bytes(group, key_dim, value_dim) + 64,
                                  std::byte{0xff});  // NaN wherever nothing was written
    void* scratch = memory.data();
    std::size_t room = memory.size();
    AttendArgs args{};
    args.q = q.data() + static_cast<std::size_t>(first * group * key_dim);
    args.q_row_stride = static_cast<std::size_t>(group * key_dim);
    args.out = out.data();
    args.out_row_stride = static_cast<std::size_t>(group * value_dim);
    args.rows = rows;
    args.group = group;
    args.key_dim = key_dim;
    args.value_dim = value_dim;
    args.scale = 1 / std::sqrt(static_cast<float>(key_dim));
    args.begin = begin.data();
    args.end = end.data();
    args.pages = pages.data();
    args.page_stride = layout.bytes;
    std::vector<PageId> seen = table;  // pages that no row sees are nowhere
    std::fill(seen.begin() + (end.back() + kPageTokens - 1) / kPageTokens, seen.end(),
              PageId{1} << 30);
    args.table = seen.data();
    args.first_split = begin[0] / kSplitKeys;
    args.last_split = (end.back() + kSplitKeys - 1) / kSplitKeys;
    args.scratch = static_cast<std::byte*>(std::align(64, memory.size() - 64, scratch, room));
    kernels().attend[static_cast<int>(type)](args);
    return out;
  }
  // The rows one by one.
  std::vector<float> run_apart(int first, int rows, int window = kKeys) const {
    std::vector<float> out;
    for (int r = first; r < first + rows; ++r) {
      const auto one = run(r, 1, window);
      out.insert(out.end(), one.begin(), one.end());
    }
    return out;
  }
};

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

struct Shape {
  int group, key_dim, value_dim;
};
const Shape kShapes[] = {{1, 64, 64},  {2, 80, 80}, {3, 96, 33}, {7, 17, 64}, {8, 64, 64},
                         {8, 128, 48}, {8, 17, 33}, {5, 33, 49}, {20, 5, 7},  {70, 32, 16}};

int rows_of(const Shape& s) { return std::max(1, kQueryTile / s.group); }

}  // namespace

TEST_CASE("Rows that attend together have the bits of each alone", "[cpu][attention]") {
  for (const Shape& shape : kShapes) {
    const Setup a(shape.group, shape.key_dim, shape.value_dim);
    for (const int window : {1, 40, 200, kKeys})
      for (const int rows : {1, 2, 3, 5, 33, 64})
        for (const int first : {0, 15, 60, 500, 636}) {
          if (rows > rows_of(shape)) continue;
          CAPTURE(shape.group, shape.key_dim, shape.value_dim, window, rows, first);
          CHECK(same(a.run(first, rows, window), a.run_apart(first, rows, window)));
        }
  }
}

TEST_CASE("Values that a row does not see change none of its bits", "[cpu][attention]") {
  for (const Shape& shape : kShapes) {
    Setup a(shape.group, shape.key_dim, shape.value_dim);
    const int rows = rows_of(shape), first = 600;
    constexpr int kWindow = 90;
    const auto clean = a.run(first, rows, kWindow);
    std::vector<float> k(static_cast<std::size_t>(shape.key_dim)),
        v(static_cast<std::size_t>(shape.value_dim), std::numeric_limits<float>::infinity());
    k[0] = v.back() = std::numeric_limits<float>::quiet_NaN();
    const int spoilt = first + (rows + 1) / 2;           // seen from this row on, if there are two
    const int left_behind = first - kWindow + rows / 4;  // seen by the rows before it is left
    a.write(spoilt, k, v);
    a.write(left_behind, k, v);
    a.write(first + rows, k, v);  // not seen at all
    a.write(first - kWindow - 5, k, v);
    const auto got = a.run(first, rows, kWindow);
    const auto row_size = static_cast<std::size_t>(shape.group * shape.value_dim);
    int spared = 0;
    for (int r = 0; r < rows; ++r) {
      const int begin = first + r + 1 - kWindow, end = first + r + 1;
      const auto has = [&](int key) { return begin <= key && key < end; };
      const bool sees = has(spoilt) || has(left_behind);
      spared += !sees;
      const auto at = static_cast<std::ptrdiff_t>(static_cast<std::size_t>(r) * row_size);
      CAPTURE(shape.group, shape.key_dim, shape.value_dim, r);
      if (sees)
        CHECK(std::isnan(got[static_cast<std::size_t>(at)]));
      else
        CHECK(std::equal(got.begin() + at, got.begin() + at + static_cast<std::ptrdiff_t>(row_size),
                         clean.begin() + at));
    }
    CHECK(spared > 0);
    CHECK(same(got, a.run_apart(first, rows, kWindow)));
  }
}

TEST_CASE("A query that is not a number gives no number, in its row alone", "[cpu][attention]") {
  for (const Shape& shape : kShapes)
    for (const int first : {3, 600}) {
      Setup a(shape.group, shape.key_dim, shape.value_dim);
      const int rows = rows_of(shape), spoilt = rows / 2;
      const auto clean = a.run(first, rows);
      a.q[static_cast<std::size_t>((first + spoilt) * shape.group * shape.key_dim)] =
          std::numeric_limits<float>::quiet_NaN();
      const auto got = a.run(first, rows);
      for (std::size_t i = 0; i < got.size(); ++i) {
        CAPTURE(shape.group, shape.key_dim, shape.value_dim, first, i);
        const std::size_t head = i / static_cast<std::size_t>(shape.value_dim);
        if (head == static_cast<std::size_t>(spoilt * shape.group))
          CHECK(std::isnan(got[i]));
        else
          CHECK(got[i] == clean[i]);
      }
    }
}
