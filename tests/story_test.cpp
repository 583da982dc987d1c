// A trained model tells its published story, greedily, byte for byte.
#include <string>

#include "tests/catch.h"
#include "tests/devices.h"
#include "tyto/tyto.h"

using namespace tyto;
using namespace tyto::test;

namespace {

std::string told(const Model& model, std::string_view prompt, std::size_t bytes) {
  Session session = model.new_session().value();
  Sampler sampler = Sampler::create({.temperature = 0}).value();
  session.append(model.tokenizer().encode(prompt, {.add_special = true}).value()).value();
  std::string text(prompt);
  const auto listen = [&](const Token& token) {
    text += token.text;
    return text.size() < bytes;
  };
  session.generate(sampler, {}, listen).value();
  return text.substr(0, bytes);
}

}  // namespace

TEST_CASE("stories260K tells its story on every instruction set and with 1, 2 and 3 threads",
          "[story]") {
  const std::string path = shared_data("models/stories260K.gguf");
  if (path.empty()) return;
  std::string expected = read_file(shared_data("models/stories260K.expected.txt"));
  if (expected.ends_with('\n'))
    expected.pop_back();  // the file's own; the story goes on with a quote
  for (const Device& device : all_devices()) {
    for (const int threads : {1, 2, 3}) {
      INFO(device.name << ", " << threads << " threads");
      const Model model = Model::load(path, device.options(CacheType::f32, threads)).value();
      CHECK(told(model, "Once upon a time", expected.size()) == expected);
    }
  }
}
