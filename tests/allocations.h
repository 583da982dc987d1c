// Watches operator new of the whole test program: how much is held, and what happens when there is
// no more. The thread sanitizer brings an operator new of its own; there nothing is seen, and tests
// tagged [allocations] are left out.
#pragma once
#include <cstdint>

namespace tyto::test {

// What all threads together have allocated since it was made. One at a time.
class AllocationWatch {
 public:
  AllocationWatch() noexcept;
  std::uint64_t count() const noexcept;  // calls of operator new
  std::uint64_t peak_bytes()
      const noexcept;  // the most held at once, beyond what was held at the start

 private:
  std::uint64_t count_, live_;
};

// While it lives, allocation number `fails` (from 0) throws std::bad_alloc; with for_ever, so do
// all after it.
class AllocationFailure {
 public:
  explicit AllocationFailure(std::int64_t fails, bool for_ever = false) noexcept;
  ~AllocationFailure();
  AllocationFailure(const AllocationFailure&) = delete;
  AllocationFailure& operator=(const AllocationFailure&) = delete;
  bool happened() const noexcept;
};

}  // namespace tyto::test
