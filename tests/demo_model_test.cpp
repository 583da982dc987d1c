// The demo model against what transformers thinks of a text with its weights
// (tests/make_demo_golden.py).
#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/devices.h"
#include "tyto/tyto.h"

using namespace tyto;
using namespace tyto::test;

namespace {

struct Golden {
  double perplexity = 0;
  std::vector<TokenId> ids;
  std::vector<double> log_probabilities;  // of each id after the first
  std::string text;

  Golden() {
    std::istringstream file(read_file(TYTO_TEST_FILES "/demo.golden"));
    file >> perplexity;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    ids = numbers<TokenId>(file);
    log_probabilities = numbers<double>(file);
    text.assign(std::istreambuf_iterator<char>(file), {});
  }

 private:
  template <class T>
  static std::vector<T> numbers(std::istream& file) {
    std::string line;
    REQUIRE(std::getline(file, line));
    std::istringstream words(line);
    return {std::istream_iterator<T>(words), {}};
  }
};

double log_probability(std::span<const float> logits, TokenId id) {
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - logits[id]);
  return -std::log(sum);
}

struct Difference {
  double largest = 0;     // of one log probability
  double perplexity = 0;  // relative
};

Difference difference(const Golden& golden, const ModelOptions& options) {
  const Model model = Model::load(example_model(), options).value();
  Session session = model.new_session().value();
  Difference result;
  double sum = 0;
  session
      .score(golden.ids,
             [&](std::size_t position, std::span<const float> logits) {
               if (position + 1 == golden.ids.size()) return false;
               const double value = log_probability(logits, golden.ids[position + 1]);
               result.largest =
                   std::max(result.largest, std::abs(value - golden.log_probabilities[position]));
               sum += value;
               return true;
             })
      .value();
  const double perplexity = std::exp(-sum / static_cast<double>(golden.ids.size() - 1));
  result.perplexity = std::abs(perplexity / golden.perplexity - 1);
  return result;
}

}  // namespace

TEST_CASE("The demo model's own tokenizer gives the reference ids of a text", "[demo]") {
  const Golden golden;
  const Model model = Model::load(example_model()).value();
  CHECK(model.tokenizer().encode(golden.text, {.add_special = true}).value() == golden.ids);
  CHECK(model.tokenizer().decode(golden.ids).value() == golden.text);
}

TEST_CASE("The reference backend agrees with transformers on each token of a text", "[demo]") {
  const Difference found =
      difference(Golden(), Device{"reference", "reference", Isa::best}.options());
  CHECK(found.largest < 1e-3);
  CHECK(found.perplexity < 1e-4);
}

TEST_CASE("Every instruction set keeps the demo model's perplexity", "[demo]") {
  for (const Device& device : cpu_devices()) {
    for (const CacheType cache : {CacheType::f32, CacheType::f16, CacheType::bf16}) {
      INFO(device.name << ", cache type " << static_cast<int>(cache));
      CHECK(difference(Golden(), device.options(cache)).perplexity < 5e-3);
    }
  }
}
