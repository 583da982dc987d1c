// Draws from the highest logits alone.
#include <limits>
#include <memory>
#include <vector>

#include "src/sample/sampler.h"
#include "tests/catch.h"
#include "tests/logits_kit.h"

using namespace tyto;
using namespace tyto::test;

namespace {

struct Onlooker : LogitStage {
  Result<> apply(std::span<float>, std::span<const TokenId>) override { return {}; }
};

bool decides(const SamplerOptions& options, const std::vector<float>& logits) {
  Sampler sampler = Sampler::create(options).value();
  return sample::decides(*sampler.impl(), top_of(logits), logits.size());
}

}  // namespace

TEST_CASE("The highest logits give the draw that all logits give", "[sampler]") {
  const SamplerOptions many[] = {
      {},
      {.temperature = 0, .top_k = 0},
      {.temperature = 1.7f, .top_k = 255, .top_p = 0.9f, .min_p = 0, .top_logprobs = 256},
      {.temperature = 1, .top_k = 100, .top_p = 1, .typical_p = 0.6f, .top_logprobs = 3},
  };
  for (const std::size_t vocab : {std::size_t{5}, std::size_t{256}, std::size_t{3000}})
    for (const SamplerOptions& options : many) {
      CAPTURE(vocab, options.top_k);
      Sampler sampler = Sampler::create(options).value();
      Sampler narrow = Sampler::create(options).value();
      REQUIRE(sample::looks_at_top(*narrow.impl()));
      for (std::uint64_t position = 0; position < 200; ++position) {
        const auto logits = random_logits(vocab, static_cast<unsigned>(position), 3);
        const TopLogits top = top_of(logits);
        REQUIRE(sample::decides(*narrow.impl(), top, vocab));
        const auto want = sample::choose(*sampler.impl(), logits, {}, position).value();
        const auto got = sample::choose(*narrow.impl(), top, {}, position).value();
        CHECK(got.id == want.id);
        CHECK(got.logprob == Approx(want.logprob).epsilon(1e-5).margin(1e-5));
        REQUIRE(got.top.size() == want.top.size());
        for (std::size_t i = 0; i < got.top.size(); ++i) CHECK(got.top[i].id == want.top[i].id);
      }
    }
}

TEST_CASE("A sampler that looks further than the highest logits says so", "[sampler]") {
  const auto logits = random_logits(3000, 4, 3);
  CHECK(decides({}, logits));
  CHECK_FALSE(decides({.top_k = 0}, logits));
  CHECK_FALSE(decides({.top_k = kTopLogits}, logits));
  CHECK_FALSE(decides({.repeat_penalty = 1.1f}, logits));
  CHECK_FALSE(decides({.presence_penalty = 0.1f}, logits));
  CHECK_FALSE(decides({.bias = {{7, 1}}}, logits));
  CHECK_FALSE(decides({.top_logprobs = kTopLogits + 1}, logits));
  Sampler staged = Sampler::create({}).value();
  staged.add(std::make_shared<Onlooker>()).value();
  CHECK_FALSE(sample::decides(*staged.impl(), top_of(logits), logits.size()));
  Sampler plain = Sampler::create({}).value();
  TopLogits bad = top_of(logits);
  bad.count = 0;  // not finite
  CHECK_FALSE(sample::decides(*plain.impl(), bad, logits.size()));
}

TEST_CASE("Where the last of the highest logits could be equal to one that is kept, all are wanted",
          "[sampler]") {
  std::vector<float> logits(1000, 1.0f);
  CHECK_FALSE(decides({.temperature = 0}, logits));
  logits[700] = 1.5f;
  CHECK(decides({.temperature = 0}, logits));
  CHECK_FALSE(decides({.temperature = 0.5f, .top_k = 2}, logits));
  logits[900] = 1.25f;
  CHECK(decides({.temperature = 0.5f, .top_k = 2}, logits));
  // Tokens that no sampler draws are no reason.
  std::vector<float> few(1000, -std::numeric_limits<float>::infinity());
  few[3] = few[8] = 2;
  CHECK(decides({.temperature = 0.5f, .top_k = 2}, few));
  CHECK_FALSE(decides({.temperature = 0.5f, .top_k = 3}, few));
  // Different logits, and one after the division by the temperature.
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i) * 1e-9f;
  logits[0] = 30;
  CHECK_FALSE(decides({.temperature = 0.7f}, logits));
}
