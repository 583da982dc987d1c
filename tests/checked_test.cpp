#include "src/base/checked.h"

#include <cstdint>

#include "tests/catch.h"

using tyto::Checked;

TEST_CASE("An overflow anywhere makes a checked size invalid", "[base]") {
  constexpr std::uint64_t huge = std::uint64_t{1} << 63;
  CHECK((Checked(6) * Checked(7) + Checked(1)).get() == 43);
  CHECK_FALSE((Checked(huge) + Checked(huge)).valid());
  CHECK_FALSE((Checked(huge) * Checked(2)).valid());
  CHECK_FALSE((Checked(huge) * Checked(2) * Checked(0)).valid());
  CHECK_FALSE((Checked(1) - Checked(2)).valid());
  CHECK_FALSE((Checked(7) / Checked(2)).valid());
  CHECK_FALSE((Checked(7) / Checked(0)).valid());
  CHECK((Checked(8) / Checked(2)).get() == 4);
}

TEST_CASE("Rounding up does not wrap to zero", "[base]") {
  CHECK(Checked(33).rounded_up(32).get() == 64);
  CHECK(Checked(64).rounded_up(32).get() == 64);
  CHECK_FALSE(Checked(UINT64_MAX - 3).rounded_up(32).valid());
}

TEST_CASE("An invalid size compares as too large", "[base]") {
  CHECK(Checked(1) <= Checked(1));
  CHECK_FALSE(Checked(UINT64_MAX) + Checked(1) <= Checked(5));
}
