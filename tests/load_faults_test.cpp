// Loading when something fails on the way, and what it leaves behind: nothing.
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/allocations.h"
#include "tests/catch.h"
#include "tests/faulty_source.h"
#include "tests/gguf_writer.h"
#include "tests/mutants.h"
#include "tests/tiny_llama.h"
#include "tyto/session.h"

using namespace tyto;
using namespace tyto::test;

namespace {

ModelOptions small_options(const char* device) {
  RuntimeOptions runtime;
  runtime.threads = 1;
  ModelOptions options;
  options.device = device;
  options.cache_tokens = 64;
  options.limits = {.rows = 16, .sequences = 2};
  options.runtime = Runtime::create(runtime).value();
  return options;
}

std::vector<float> logits_after(Session& session, std::vector<TokenId> tokens) {
  REQUIRE(session.append(tokens));
  REQUIRE(session.prefill());
  return {session.logits().begin(), session.logits().end()};
}

Bytes tiny_file() {
  static const Bytes bytes = tiny_llama().file();
  return bytes;
}

// The tiny llama with two bytes of a tensor replaced: the scale of a block, or half of a float.
Bytes with_weight(std::string_view tensor, std::size_t at, std::uint16_t value) {
  GgufWriter file = tiny_llama();
  std::memcpy(&file.tensor(tensor).data[at], &value, sizeof value);
  return file.file();
}

}  // namespace

TEST_CASE("A read that fails while a model is loaded is an io error", "[model][bad]") {
  const ModelOptions options = small_options("cpu");
  const auto source = as_source(tiny_file());
  std::int64_t fails = 0;
  for (;; ++fails) {
    const auto faulty = std::make_shared<FaultySource>(source, fails);
    const auto model = Model::load(faulty, options);
    if (faulty->reads() <= fails) {
      CHECK(model.has_value());
      break;
    }
    if (model) FAIL("read " << fails << " was ignored");
    CHECK(model.error().code() == ErrorCode::io);
    CHECK(model.error().message().find("the disk is gone") != std::string_view::npos);
  }
  CHECK(fails > 20);  // the header, and each of 21 tensors
}

TEST_CASE("An allocation that fails while a model is loaded is no_memory",
          "[model][bad][allocations]") {
  const ModelOptions options = small_options("cpu");
  const auto source = as_source(tiny_file());
  for (const bool for_ever : {false, true}) {
    for (std::int64_t fails = 0;; ++fails) {
      bool happened = false;
      const auto model = [&] {
        const AllocationFailure failure(fails, for_ever);
        auto answer = Model::load(source, options);
        happened = failure.happened();
        return answer;
      }();
      if (!happened) {
        CHECK(model.has_value());
        break;
      }
      // One failure may cost no more than a worker thread, which is done without.
      if (model && !for_ever) continue;
      // An error without room for its message is an error all the same.
      if (model || model.error().code() != ErrorCode::no_memory) FAIL("allocation " << fails);
    }
  }
}

TEST_CASE("Weights that are no numbers are refused by name", "[model][bad]") {
  constexpr std::uint16_t kHalfNan = 0x7E00, kHalfInfinity = 0x7C00, kFloatNan = 0x7FC0;
  const struct {
    const char* tries;
    const char* tensor;
    std::size_t at;
    std::uint16_t value;
  } cases[] = {
      {"a q4_0 scale that is NaN", "blk.0.attn_q.weight", 18 * 5, kHalfNan},
      {"a q4_0 scale that is infinite", "blk.1.ffn_down.weight", 0, kHalfInfinity},
      {"a q8_0 scale that is NaN", "token_embd.weight", 34 * 599, kHalfNan},
      {"a norm that is NaN", "output_norm.weight", 4 * 63 + 2, kFloatNan},
      {"an output weight that is NaN", "output.weight", 4 * 1000 + 2, kFloatNan},
  };
  for (const char* device : {"reference", "cpu"}) {
    ModelOptions options = small_options(device);
    for (const auto& c : cases) {
      INFO(device << ", " << c.tries);
      const auto source = as_source(with_weight(c.tensor, c.at, c.value));
      const auto model = Model::load(source, options);
      REQUIRE_FALSE(model.has_value());
      CHECK(model.error().code() == ErrorCode::bad_file);
      CHECK(model.error().message().find(c.tensor) != std::string_view::npos);
    }
    // Unchecked, it loads, and the first step says so.
    options.check_weights = false;
    const auto model =
        Model::load(as_source(with_weight("output_norm.weight", 2, kFloatNan)), options).value();
    Session session = model.new_session().value();
    Sampler sampler = Sampler::create().value();
    REQUIRE(session.append(std::vector<TokenId>{1}));
    const auto next = session.next(sampler);
    REQUIRE_FALSE(next.has_value());
    CHECK(next.error().code() == ErrorCode::numeric);
  }
}

TEST_CASE("A model does not care what becomes of its file", "[model][bad]") {
  std::string path = (std::filesystem::temp_directory_path() / "tyto-cut-XXXXXX").string();
  const int descriptor = mkstemp(path.data());
  REQUIRE(descriptor >= 0);
  close(descriptor);
  const Bytes bytes = tiny_file();
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const Model model = Model::load(path, small_options("cpu")).value();
  Session session = model.new_session().value();
  const auto before = logits_after(session, {1, 260, 261});
  std::filesystem::resize_file(path, 100);
  REQUIRE(session.truncate(0));
  CHECK(logits_after(session, {1, 260, 261}) == before);
  std::filesystem::remove(path);
}

TEST_CASE("A model that cannot be loaded changes nothing for one that is", "[model][bad]") {
  const ModelOptions options = small_options("cpu");
  const Model model = Model::load(as_source(tiny_file()), options).value();
  Session session = model.new_session().value();
  Session twin = session.fork().value();
  for (std::uint32_t seed = 0; seed < 20; ++seed)
    static_cast<void>(Model::load(as_source(mutant(tiny_file(), 2000, seed)), options).has_value());
  static_cast<void>(Model::load("", options).has_value());
  CHECK(logits_after(session, {1, 260, 261}) == logits_after(twin, {1, 260, 261}));
}

TEST_CASE("Two thousand random changes of a model end in an answer", "[model][bad]") {
  const ModelOptions options = small_options("reference");
  const GgufWriter writer = tiny_llama();
  const Bytes whole = writer.file();
  const std::size_t header = writer.header().size();
  int loaded = 0;
  for (std::uint32_t seed = 10000; seed < 12000; ++seed) {
    const auto source = as_source(mutant(whole, header, seed));
    const auto planned = Model::plan(source, options);
    const auto model = Model::load(source, options);
    if (!model) continue;
    ++loaded;
    if (!planned) FAIL("seed " << seed << ": loaded, but not planned");
    if (seed % 16 != 0) continue;
    auto session = model->new_session();
    if (!session || !session->append(std::vector<TokenId>{1})) continue;
    static_cast<void>(session->prefill().has_value());
  }
  CHECK(loaded > 20);  // some of the header is text that may be anything
}
