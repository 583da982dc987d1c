// One thing a file can have wrong with it, and what must come of it.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "tests/allocations.h"
#include "tests/catch.h"
#include "tests/gguf_writer.h"
#include "tests/tiny_llama.h"
#include "tyto/result.h"

namespace tyto::test {

struct BadFile {
  std::string tries;
  ErrorCode code;
  std::string_view place;  // what the message must name
  std::function<Bytes()> make;
};

// The tiny llama, changed.
inline std::function<Bytes()> edit(std::function<void(GgufWriter&)> change,
                                   const TinyLlama& base = {}) {
  return [=] {
    GgufWriter file = tiny_llama(base);
    change(file);
    return file.file();
  };
}

// Refused with its code, by a message that names the file and the place, within the memory that the
// file itself takes and 1 MiB.
template <class Open>
void check_refused(const BadFile& bad, std::string_view file_name, Open&& open) {
  const Bytes bytes = bad.make();
  const AllocationWatch watch;
  const auto result = open(std::span(bytes));
  CHECK(watch.peak_bytes() <= bytes.size() + (1 << 20));
  if (result) FAIL("accepted");
  const std::string message(result.error().message());
  INFO(message);
  CHECK(name(result.error().code()) == name(bad.code));
  CHECK(message.find(bad.place) != std::string::npos);
  CHECK(message.find(file_name) != std::string::npos);
}

}  // namespace tyto::test
