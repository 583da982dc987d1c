// Vocabularies that contradict themselves are refused by name.
#include <limits>

#include "tests/tokenizer_kit.h"

using namespace tyto;
using namespace tyto::test;

static void check_refused(const Result<Tokenizer>& tokenizer, ErrorCode code,
                          std::string_view named) {
  INFO(named);
  REQUIRE_FALSE(tokenizer);
  INFO(tokenizer.error().message());
  CHECK(tokenizer.error().code() == code);
  CHECK(tokenizer.error().message().find(named) != std::string_view::npos);
}

TEST_CASE("A special id outside the vocabulary is refused", "[tokenizer]") {
  for (const char* key : {"bos", "eos", "eot", "eom", "unknown", "cls", "seperator"}) {
    const std::string name = "tokenizer.ggml." + std::string(key) + "_token_id";
    for (const std::uint32_t id : {static_cast<std::uint32_t>(kFirst), UINT32_MAX}) {
      GgufWriter file = sentencepiece_file({});
      file.set(name, id);
      check_refused(load_tokenizer(file), ErrorCode::bad_file, name);
    }
    GgufWriter file = sentencepiece_file({});
    file.set(name, std::int32_t{-1});
    check_refused(load_tokenizer(file), ErrorCode::bad_file, name);
  }
}

TEST_CASE("Arrays of another length than the tokens are refused", "[tokenizer]") {
  for (const std::size_t count :
       {std::size_t{0}, std::size_t{kFirst - 1}, std::size_t{kFirst + 1}}) {
    GgufWriter scores = sentencepiece_file({});
    scores.set("tokenizer.ggml.scores", std::vector<float>(count));
    check_refused(load_tokenizer(scores), ErrorCode::bad_file, "tokenizer.ggml.scores");
    GgufWriter types = sentencepiece_file({});
    types.set("tokenizer.ggml.token_type", std::vector<std::int32_t>(count, kNormal));
    check_refused(load_tokenizer(types), ErrorCode::bad_file, "tokenizer.ggml.token_type");
  }
}

TEST_CASE("Arrays of another type, and values out of range, are refused", "[tokenizer]") {
  GgufWriter file = sentencepiece_file({});
  file.set("tokenizer.ggml.scores", std::vector<std::uint8_t>(kFirst));
  check_refused(load_tokenizer(file), ErrorCode::bad_file, "tokenizer.ggml.scores");
  file.set("tokenizer.ggml.scores",
           std::vector<float>(kFirst, std::numeric_limits<float>::quiet_NaN()));
  check_refused(load_tokenizer(file), ErrorCode::bad_file, "tokenizer.ggml.scores");
  file.remove_key("tokenizer.ggml.scores");
  check_refused(load_tokenizer(file), ErrorCode::bad_file, "tokenizer.ggml.scores");
  for (const std::int32_t type : {-1, 7, 1000}) {
    GgufWriter types = sentencepiece_file({});
    types.set("tokenizer.ggml.token_type", std::vector<std::int32_t>(kFirst, type));
    check_refused(load_tokenizer(types), ErrorCode::bad_file, "tokenizer.ggml.token_type");
  }
}

TEST_CASE("A vocabulary must be there, and have tokens", "[tokenizer]") {
  GgufWriter file = sentencepiece_file({});
  file.remove_key("tokenizer.ggml.tokens");
  check_refused(load_tokenizer(file), ErrorCode::bad_file, "tokenizer.ggml.tokens");
  file.set("tokenizer.ggml.tokens", std::vector<std::string>{});
  check_refused(load_tokenizer(file), ErrorCode::bad_file, "tokenizer.ggml.tokens");
  file.remove_key("tokenizer.ggml.model");
  check_refused(load_tokenizer(file), ErrorCode::bad_file, "tokenizer.ggml.model");
}

TEST_CASE("A byte token that writes no byte is refused", "[tokenizer]") {
  for (const char* piece :
       {"<0x-1>", "<0xZZ>", "<0x+1>", "<0x 1>", "<0x1>", "<0x100>", "<0x>", "0x41", "<0X41>", ""})
    check_refused(load_tokenizer(sentencepiece_file({{piece, kByte}})), ErrorCode::bad_file,
                  "byte token");
  const Tokenizer lower = load_tokenizer(sentencepiece_file({{"<0xe9>", kByte}})).value();
  CHECK(lower.bytes(kFirst) == "\xE9");
}

TEST_CASE("A merge of unknown tokens, or of one, is refused", "[tokenizer]") {
  const std::vector<TestToken> tokens = {{"ab"}};
  for (const char* merge : {"a zz", "zz b", "b a", "ab", "a", "", " ", "a ", " ab", "a b c"})
    check_refused(load_tokenizer(byte_bpe_file(tokens, {"a b", merge})), ErrorCode::bad_file,
                  "merge 1");
  GgufWriter none = byte_bpe_file(tokens, {});
  none.remove_key("tokenizer.ggml.merges");
  check_refused(load_tokenizer(none), ErrorCode::bad_file, "tokenizer.ggml.merges");
}

TEST_CASE("What this build does not know is unsupported, with what it knows", "[tokenizer]") {
  GgufWriter model = sentencepiece_file({});
  model.set("tokenizer.ggml.model", "rwkv");
  check_refused(load_tokenizer(model), ErrorCode::unsupported, "'rwkv'");
  const auto pre = load_tokenizer(byte_bpe_file({}, {}, "kimi-k9"));
  check_refused(pre, ErrorCode::unsupported, "'kimi-k9'");
  for (const char* known : {"gpt-2", "llama-bpe", "qwen2", "deepseek-coder", "default"})
    check_refused(pre, ErrorCode::unsupported, known);
}

TEST_CASE("A begin token that is asked for and not there is refused", "[tokenizer]") {
  GgufWriter file = byte_bpe_file({}, {});
  file.set("tokenizer.ggml.add_bos_token", true);
  check_refused(load_tokenizer(file), ErrorCode::bad_file, "tokenizer.ggml.add_bos_token");
}

TEST_CASE("More text than ids can count is a limit", "[tokenizer]") {
  const Tokenizer tokenizer = small_tokenizer("spm");
  // Only the size is looked at.
  const auto ids = tokenizer.encode(std::string_view("x", std::size_t{1} << 31));
  CHECK(ids.error().code() == ErrorCode::limit);
}
