#include <map>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/tiny_model.h"

using namespace tyto;
using namespace tyto::test;

namespace {

struct Spans : TraceSink {
  bool on = false;
  std::vector<std::string> names;
  std::map<std::string, std::uint64_t> bytes;

  void span(std::string_view name, Clock::time_point begin, Clock::time_point end,
            std::uint64_t count) noexcept override {
    if (begin > end) return;
    names.emplace_back(name);
    bytes[std::string(name)] += count;
  }
  bool wants_stages() const noexcept override { return on; }
};

const std::vector<TokenId> kPrompt = {1, 100, 200, 50, 7};

}  // namespace

TEST_CASE("A trace is told the stages of a step, and what they read, if it wants to", "[session]") {
  const auto spans = std::make_shared<Spans>();
  RuntimeOptions options;
  options.host.trace = spans;
  const auto runtime = Runtime::create(options).value();
  const Model model = load_tiny({.isa = isa_under_test(), .runtime = runtime}).value();
  CHECK(spans->names == std::vector<std::string>{"load"});

  Session session = model.new_session().value();
  session.append(kPrompt).value();
  session.prefill().value();
  const std::vector<float> untraced = {session.logits().begin(), session.logits().end()};
  CHECK(spans->names.size() == 1);

  session.truncate(kPrompt.size() - 1).value();
  session.append({&kPrompt.back(), 1}).value();
  spans->names.clear();
  spans->on = true;
  session.prefill().value();
  CHECK(std::vector<float>(session.logits().begin(), session.logits().end()) == untraced);

  std::vector<std::string> expected = {"embed"};
  for (std::uint32_t layer = 0; layer < kTinyF32.layers; ++layer)
    for (const char* name :
         {"attention.norm", "attention.qkv", "attention.store", "attention.attend",
          "attention.records", "attention.out", "mlp.norm", "mlp.up", "mlp.records", "mlp.down"})
      expected.emplace_back(name);
  expected.insert(expected.end(), {"head.norm", "head.logits"});
  CHECK(spans->names == expected);

  const std::uint64_t layers = kTinyF32.layers, width = kTinyF32.width, ff = kTinyF32.ff;
  CHECK(spans->bytes["attention.qkv"] == layers * (width + 2 * width / 2) * width * 4);
  CHECK(spans->bytes["attention.out"] == layers * width * width * 4);
  CHECK(spans->bytes["mlp.up"] == layers * 2 * ff * width * 4);
  CHECK(spans->bytes["mlp.down"] == layers * ff * width * 4);
  // Keys and values of 16 numbers in BF16, of two heads.
  CHECK(spans->bytes["attention.attend"] == layers * kPrompt.size() * 2 * 2 * 16 * 2);
  CHECK(spans->bytes["head.logits"] >= kTinyF32.vocab * width * 4);
  CHECK(spans->bytes["mlp.norm"] == 0);
}
