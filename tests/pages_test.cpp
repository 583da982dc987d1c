#include "src/pages.h"

#include <array>
#include <vector>

#include "tests/catch.h"

using namespace tyto;

namespace {

// Remembers what each slot of each page holds.
class FakeCache : public Cache {
 public:
  explicit FakeCache(int pages) : slots(pages) {}
  std::uint64_t bytes() const noexcept override { return 0; }
  Result<> copy_page(int, PageId from, PageId to) override {
    slots[to] = slots[from];
    ++copies;
    return {};
  }
  Result<> clear_page(int, PageId page, int first) override {
    for (int s = first; s < kPageTokens; ++s) slots[page][s] = 0;
    return {};
  }
  std::vector<std::array<int, kPageTokens>> slots;
  int copies = 0;
};

void fill(FakeCache& cache, const PageTable& table, std::size_t first, std::size_t last,
          int value) {
  for (std::size_t s = first; s < last; ++s)
    cache.slots[table[0][s / kPageTokens]][s % kPageTokens] = value;
}

}  // namespace

TEST_CASE("A shared page is copied when one of its holders writes", "[session][pages]") {
  FakeCache cache(4);
  PagePool pool(cache, {4});
  PageTable a(1), b(1);
  REQUIRE(pool.make_writable(a, 0, 20));
  fill(cache, a, 0, 20, 7);
  pool.share(a, b);
  CHECK(b == a);
  REQUIRE(pool.make_writable(b, 20, 21));
  CHECK(cache.copies == 1);
  CHECK(b[0][0] == a[0][0]);
  REQUIRE(b[0][1] != a[0][1]);
  CHECK(cache.slots[b[0][1]][3] == 7);
  CHECK(cache.slots[b[0][1]][4] == 0);
  REQUIRE(pool.make_writable(a, 20, 21));  // now its only holder
  CHECK(cache.copies == 1);
}

TEST_CASE("A spent cache is `limit` and leaves the table as it was", "[session][pages]") {
  FakeCache cache(2);
  PagePool pool(cache, {2});
  PageTable a(1);
  REQUIRE(pool.make_writable(a, 0, 16));
  const PageTable before = a;
  const auto result = pool.make_writable(a, 16, 50);
  REQUIRE_FALSE(result);
  CHECK(result.error().code() == ErrorCode::limit);
  CHECK(a == before);
  CHECK(pool.make_writable(a, 16, 32));
}

TEST_CASE("Released and shrunk pages come back zeroed", "[session][pages]") {
  FakeCache cache(2);
  PagePool pool(cache, {2});
  PageTable a(1);
  REQUIRE(pool.make_writable(a, 0, 32));
  fill(cache, a, 0, 32, 9);
  REQUIRE(pool.shrink(a, 5));
  CHECK(a[0].size() == 1);
  CHECK(cache.slots[a[0][0]][4] == 9);
  CHECK(cache.slots[a[0][0]][5] == 0);
  pool.release(a);
  REQUIRE(pool.make_writable(a, 0, 32));
  for (const PageId page : a[0])
    for (const int value : cache.slots[page]) CHECK(value == 0);
}

TEST_CASE("Shrinking does not clear a page that another holder reads", "[session][pages]") {
  FakeCache cache(3);
  PagePool pool(cache, {3});
  PageTable a(1), b(1);
  REQUIRE(pool.make_writable(a, 0, 10));
  fill(cache, a, 0, 10, 3);
  pool.share(a, b);
  REQUIRE(pool.shrink(b, 2));
  CHECK(cache.slots[a[0][0]][9] == 3);
  REQUIRE(pool.make_writable(b, 2, 3));  // the copy is zeroed behind what b kept
  CHECK(cache.slots[b[0][0]][1] == 3);
  CHECK(cache.slots[b[0][0]][2] == 0);
}
