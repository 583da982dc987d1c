// Ids equal to those of the reference implementations.
#include <sstream>

#include "tests/devices.h"
#include "tests/tokenizer_kit.h"

using namespace tyto;
using namespace tyto::test;

TEST_CASE("Small vocabularies give the ids of their reference implementations", "[tokenizer]") {
  for (const std::string name : {"spm", "spm-no-bytes", "qwen2", "wordpiece"}) {
    INFO(name);
    const auto golden = read_golden(TYTO_TEST_FILES "/" + name + ".jsonl");
    CHECK(golden.size() >= 70);
    check_golden(small_tokenizer(name), golden);
  }
}

TEST_CASE("Texts come back from their ids", "[tokenizer]") {
  for (const std::string name : {"spm", "qwen2"}) {
    const Tokenizer tokenizer = small_tokenizer(name);
    for (const GoldenText& golden : read_golden(TYTO_TEST_FILES "/" + name + ".jsonl")) {
      if (name == "spm" && golden.text.find("\xE2\x96\x81") != std::string::npos)
        continue;  // reads back as a space
      check_round_trip(tokenizer, golden.text);
    }
  }
}

// Texts apart by a line, ids one line a text.
static std::vector<GoldenText> read_vocab_golden(const std::string& path) {
  constexpr std::string_view kLine = "\n__ggml_vocab_test__\n";
  const std::string texts = read_text(path + ".inp");
  std::istringstream ids(read_text(path + ".out"));
  std::vector<GoldenText> all;
  std::size_t at = 0;
  for (std::string line; std::getline(ids, line);) {
    const std::size_t end = texts.find(kLine, at);
    GoldenText golden{texts.substr(at, end - at), {}};
    at = end == std::string::npos ? texts.size() : end + kLine.size();
    std::istringstream numbers(line);
    for (TokenId id; numbers >> id;) golden.ids.push_back(id);
    all.push_back(golden);
  }
  return all;
}

TEST_CASE("Real vocabularies give the ids of the models' own tokenizers", "[tokenizer]") {
  for (const std::string name : {"llama-spm", "phi-3", "gpt-2", "deepseek-coder", "bert-bge"}) {
    const std::string path = shared_data("vocab/ggml-vocab-" + name + ".gguf");
    if (path.empty()) return;
    INFO(name);
    const Tokenizer tokenizer = load_tokenizer(read_text(path)).value();
    const auto golden = read_vocab_golden(path);
    CHECK(golden.size() > 40);
    check_golden(tokenizer, golden);
    if (name == "bert-bge") continue;  // lower case, and spaces are gone
    for (const GoldenText& text : golden) check_round_trip(tokenizer, text.text);
  }
}

TEST_CASE("Llama 3's vocabulary gives its reference ids", "[tokenizer]") {
  const char* made = std::getenv("TYTO_TEST_MADE");
  const std::string golden = shared_data("tokenizers/llama-3/golden.jsonl");
  if (!made || golden.empty()) {
    WARN("skipped: TYTO_TEST_MADE is not set, see make_bpe_gguf.py");
    return;
  }
  const Tokenizer tokenizer =
      load_tokenizer(read_text(std::string(made) + "/llama-3.gguf")).value();
  const auto texts = read_golden(golden);
  CHECK(texts.size() > 100);
  check_golden(tokenizer, texts);
  for (const GoldenText& text : texts) check_round_trip(tokenizer, text.text);
}
