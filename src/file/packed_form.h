// Packed weights as seen from outside their backend: bytes, and what tells whether they fit.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "src/base/hash.h"
#include "tyto/result.h"

namespace tyto::file {

// Weights of equal forms have the same bytes in the same places.
struct PackedForm {
  std::string table;          // the backend's name: "cpu avx512"
  std::uint32_t version = 0;  // of that table's layouts
  HashValue places{};         // over what lies where
  std::uint64_t bytes = 0;
};

// Where bytes go, in any order and from several threads. What is never written is zero.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Result<> write(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
};

}  // namespace tyto::file
