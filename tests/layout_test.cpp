// Packed files outlive the program that wrote them: what a kernel packs changes with kLayoutVersion
// or not at all.
#include <cstring>
#include <random>
#include <string_view>
#include <vector>

#include "cpu/isa_table.h"
#include "cpu/pack.h"
#include "src/base/hash.h"
#include "src/quant/format.h"
#include "tests/catch.h"

using namespace tyto;

namespace {

constexpr std::string_view kFormats[] = {"f32",  "f16",  "bf16", "q4_0", "q4_1", "q5_0",
                                         "q5_1", "q8_0", "q4_k", "q5_k", "q6_k"};

const quant::Format& format_of(std::string_view name) {
  for (const quant::Format* format : quant::formats())
    if (format->name == name) return *format;
  FAIL("no format " << name);
  return *quant::formats().front();
}

// Of a panel of each format, full and not, made of random bytes.
std::string packed_hash(const cpu::IsaTable& table) {
  Hash128 hash;
  std::mt19937 random(1);
  for (const std::string_view name : kFormats) {
    const quant::Format& format = format_of(name);
    const cpu::LinearKernel& kernel = table.kernel(format);
    for (const std::size_t k : {std::size_t{256}, std::size_t{768}, std::size_t{96}}) {
      if (k % static_cast<std::size_t>(format.block_values) != 0) continue;
      const std::size_t row = k / static_cast<std::size_t>(format.block_values) *
                              static_cast<std::size_t>(format.block_bytes);
      for (const int rows : {kernel.panel_rows, (kernel.panel_rows + 1) / 2}) {
        std::vector<std::byte> file(row * static_cast<std::size_t>(rows));
        for (std::byte& byte : file) byte = static_cast<std::byte>(random());
        std::vector<std::byte> panel(kernel.panel_bytes(k), std::byte{0xa5});
        kernel.pack(file.data(), rows, k, panel.data());
        hash.update(panel);
      }
    }
  }
  return hash.hex();
}

}  // namespace

TEST_CASE("What packed files hold changes with the layouts' version only", "[packed]") {
  static_assert(cpu::kLayoutVersion == 1, "a new version: new hashes below");
  const struct {
    Isa isa;
    std::string_view hash;
  } tables[] = {
      {Isa::scalar, "80027296968352ba9bd3609ca7b66c42"},
      {Isa::avx2, "94765fc711d20f9e24f455b99705cfe3"},
      {Isa::avx512, "7933ebe94ec14ebe418ea89c28a88334"},
  };
  for (const auto& [isa, hash] : tables) {
    const cpu::IsaTable* table = cpu::find_table(isa, false);  // packs on any machine
    if (table == nullptr) continue;                            // of another architecture
    INFO(table->name);
    CHECK(packed_hash(*table) == hash);
  }
}
