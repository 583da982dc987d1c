// Tiny random models of each family against the logits of Hugging Face transformers
// (tests/make_tiny_models.py).
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tests/catch.h"
#include "tests/devices.h"
#include "tyto/tyto.h"

using namespace tyto;
using namespace tyto::test;

namespace {

struct Golden {
  std::size_t prompt = 0, vocab = 0;
  std::vector<TokenId> ids;
  std::vector<float> logits;  // [ids, vocab]

  explicit Golden(std::string_view name) {
    const std::string bytes = read_file(TYTO_TEST_FILES "/models/" + std::string(name) + ".golden");
    std::int32_t head[3];
    REQUIRE(bytes.size() > sizeof head);
    std::memcpy(head, bytes.data(), sizeof head);
    prompt = head[0];
    ids.resize(head[0] + head[1]);
    vocab = head[2];
    logits.resize(ids.size() * vocab);
    const std::size_t id_bytes = ids.size() * sizeof(TokenId),
                      logit_bytes = logits.size() * sizeof(float);
    REQUIRE(bytes.size() == sizeof head + id_bytes + logit_bytes);
    std::memcpy(ids.data(), bytes.data() + sizeof head, id_bytes);
    std::memcpy(logits.data(), bytes.data() + sizeof head + id_bytes, logit_bytes);
  }

  // The largest difference to the logits of one position; huge where one is no number.
  float difference(std::size_t position, std::span<const float> values) const {
    REQUIRE(values.size() == vocab);
    float largest = 0;
    for (std::size_t i = 0; i < vocab; ++i) {
      const float difference = std::abs(values[i] - logits[position * vocab + i]);
      largest = std::max(largest, std::isfinite(difference) ? difference : INFINITY);
    }
    return largest;
  }
};

constexpr float kTolerance = 1e-3f;

void matches_transformers(std::string_view name) {
  const Golden golden(name);
  for (const Device& device : all_devices()) {
    INFO(name << " on " << device.name);
    const Model model = Model::load(tiny_model_path(name), device.options()).value();
    Session session = model.new_session().value();

    std::size_t scored = 0;
    float prompt = 0, steps = 0;
    const std::span<const TokenId> ids = golden.ids;
    session
        .score(ids.first(golden.prompt),
               [&](std::size_t position, std::span<const float> logits) {
                 prompt = std::max(prompt, golden.difference(position, logits));
                 return ++scored > 0;
               })
        .value();
    CHECK(scored == golden.prompt);
    CHECK(prompt <= kTolerance);

    for (std::size_t i = golden.prompt; i < ids.size(); ++i) {
      session.append(ids.subspan(i, 1)).value();
      session.prefill().value();
      steps = std::max(steps, golden.difference(i, session.logits()));
    }
    CHECK(steps <= kTolerance);
  }
}

}  // namespace

TEST_CASE("A Llama gives the logits of transformers", "[golden]") { matches_transformers("llama"); }
TEST_CASE(
    "A Llama with Llama 3's rope scaling and tied embeddings gives the logits of transformers",
    "[golden]") {
  matches_transformers("llama3");
}
TEST_CASE("A Qwen2 gives the logits of transformers", "[golden]") { matches_transformers("qwen2"); }
TEST_CASE("A Qwen3 gives the logits of transformers", "[golden]") { matches_transformers("qwen3"); }
TEST_CASE("A GPT-2 gives the logits of transformers", "[golden]") { matches_transformers("gpt2"); }
TEST_CASE("A Mixtral gives the logits of transformers", "[golden]") {
  matches_transformers("mixtral");
}
TEST_CASE("A Qwen3 of experts gives the logits of transformers", "[golden]") {
  matches_transformers("qwen3moe");
}
