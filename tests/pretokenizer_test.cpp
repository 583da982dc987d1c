// Where words end, per pre-tokenizer. The expected cuts are those of the regular expressions, by
// Oniguruma.
#include "src/text/pretokenizer.h"

#include <string>
#include <vector>

#include "tests/catch.h"

using namespace tyto::text;

static std::vector<std::string> words(const char* pre, std::string_view text) {
  WordCursor cursor(*find_pre_tokenizer(pre), text);
  std::vector<std::string> found;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = cursor.word_end(begin);
    found.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return found;
}

using Words = std::vector<std::string>;

TEST_CASE("GPT-2's words", "[pretokenizer]") {
  CHECK(words("gpt-2", "I've 'told him, 'RE you 12345 ok?!") ==
        Words{"I", "'ve", " '", "told", " him", ",", " '", "RE", " you", " 12345", " ok", "?!"});
  CHECK(words("gpt-2", "a  b\n\n c \t\n") == Words{"a", " ", " b", "\n\n", " c", " \t\n"});
  CHECK(words("gpt-2", "x\u3000\u3000y\u00A0") == Words{"x", "\u3000", "\u3000", "y", "\u00A0"});
  CHECK(words("gpt-2", "é½日 \xFF\xC3!") == Words{"é", "½", "日", " \xFF\xC3!"});
}

TEST_CASE("Llama 3's words", "[pretokenizer]") {
  CHECK(words("llama-bpe", "I'VE 'told 'sam' 1234567") ==
        Words{"I", "'VE", " '", "told", " '", "sam", "'", " ", "123", "456", "7"});
  CHECK(words("llama-bpe", "it'\u017F (yes)\n\n  no\r\n x") ==
        Words{"it", "'\u017F", " (", "yes", ")\n\n", " ", " no", "\r\n", " x"});
  CHECK(words("llama-bpe", " \n \n  a") == Words{" \n \n", " ", " a"});
  CHECK(words("llama-bpe", "\tif(x)\n") == Words{"\tif", "(x", ")\n"});
}

TEST_CASE("Qwen 2's words have single digits", "[pretokenizer]") {
  CHECK(words("qwen2", "v12 ٣٤") == Words{"v", "1", "2", " ", "٣", "٤"});
}

TEST_CASE("DeepSeek Coder's words", "[pretokenizer]") {
  CHECK(words("deepseek-coder", "x1 = a[12];\r\n") ==
        Words{"x", "1", " =", " a", "[", "1", "2", "];", "\r", "\n"});
  CHECK(words("deepseek-coder", "abc日本def 。！") == Words{"abc", "日本", "def", " ", "。", "！"});
}

TEST_CASE("The default words", "[pretokenizer]") {
  CHECK(words("default", "a+b 12345, it's") ==
        Words{"a", "+", "b", " ", "123", "45", ",", " it", "'", "s"});
}

TEST_CASE("SmolLM's words", "[pretokenizer]") {
  CHECK(words("smollm", "it's 42 ok") == Words{"it", "'s", " ", "4", "2", " ok"});
}

TEST_CASE("Unknown pre-tokenizers have no entry", "[pretokenizer]") {
  CHECK(find_pre_tokenizer("") == nullptr);
  CHECK(find_pre_tokenizer("gpt-20") == nullptr);
  CHECK(pre_tokenizer_names().find("llama-bpe") != std::string::npos);
}
