#include "src/text/stream_decoder.h"

#include <random>

#include "tests/tokenizer_kit.h"

using namespace tyto;
using namespace tyto::test;
using tyto::text::StreamDecoder;

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Feeds bytes one by one, as byte tokens.
static std::vector<std::string> feed_bytes(StreamDecoder& decoder, std::string_view bytes) {
  std::vector<std::string> given;
  for (const char byte : bytes)
    given.emplace_back(decoder.feed(3 + static_cast<unsigned char>(byte)));
  given.emplace_back(decoder.flush());
  return given;
}

TEST_CASE("A stream gives whole characters", "[stream]") {
  const Tokenizer tokenizer = load_tokenizer(sentencepiece_file({})).value();
  StreamDecoder decoder(tokenizer, false);
  using Parts = std::vector<std::string>;
  CHECK(feed_bytes(decoder, "a\xC3\xA9") == Parts{"a", "", "\xC3\xA9", ""});
  CHECK(feed_bytes(decoder, "\xF0\x9F\x98\x80!") == Parts{"", "", "", "\xF0\x9F\x98\x80", "!", ""});
}

TEST_CASE("What can never be a character is replaced, one mark for each part of one", "[stream]") {
  const Tokenizer tokenizer = load_tokenizer(sentencepiece_file({})).value();
  const auto whole = [&](std::string_view bytes) {
    StreamDecoder decoder(tokenizer, false);
    std::string text;
    for (const std::string& part : feed_bytes(decoder, bytes)) text += part;
    std::string marked;
    for (std::size_t at = 0; at < text.size();) {
      const bool mark = std::string_view(text).substr(at).starts_with(kReplacement);
      marked += mark ? '?' : text[at];
      at += mark ? kReplacement.size() : 1;
    }
    return marked;
  };
  CHECK(whole("\xC0\x80") == "??");
  CHECK(whole("\xED\xA0\x80") == "???");
  CHECK(whole("\xF4\x90\x80\x80") == "????");
  CHECK(whole("\xE2\x82") == "?");
  CHECK(whole("\xE2\x82x") == "?x");
  CHECK(whole("a\xF0\x9F\x98"
              "b\x80") == "a?b?");
  CHECK(whole("\xC3\xC3\xA9") == "?\xC3\xA9");
  CHECK(whole("\xF5\xFF") == "??");
  CHECK(whole(std::string_view("\0\xEF\xBB\xBF", 4)) == std::string("\0\xEF\xBB\xBF", 4));
}

TEST_CASE("A leading space goes at the start of a text alone", "[stream]") {
  const Tokenizer tokenizer =
      load_tokenizer(sentencepiece_file({{"\u2581a"}, {"<t>", kUserDefined}})).value();
  StreamDecoder start(tokenizer, true);
  CHECK(start.feed(1).empty());
  CHECK(start.feed(kFirst) == "a");
  CHECK(start.feed(kFirst) == " a");
  CHECK(start.feed(kFirst + 1) == "<t>");
  CHECK(start.feed(kFirst) == "a");
  CHECK(start.feed(-1).empty());
  CHECK(start.feed(1 << 30).empty());
  StreamDecoder middle(tokenizer, false);
  CHECK(middle.feed(kFirst) == " a");
}

TEST_CASE("A stream of valid text is the text", "[stream]") {
  for (const char* name : {"spm", "qwen2"}) {
    const Tokenizer tokenizer = small_tokenizer(name);
    for (const GoldenText& golden :
         read_golden(TYTO_TEST_FILES "/" + std::string(name) + ".jsonl")) {
      StreamDecoder decoder(tokenizer, true);
      std::string text;
      for (const TokenId id : golden.ids) text += decoder.feed(id);
      text += decoder.flush();
      CHECK(text == tokenizer.decode(golden.ids).value());
    }
  }
}

TEST_CASE("A copy of a stream goes on from where it was", "[stream]") {
  const Tokenizer tokenizer = load_tokenizer(sentencepiece_file({})).value();
  StreamDecoder first(tokenizer, false);
  CHECK(first.feed(3 + 0xC3).empty());
  StreamDecoder second = first;
  CHECK(first.feed(3 + 0xA9) == "\xC3\xA9");
  CHECK(second.feed(3 + 0xA8) == "\xC3\xA8");
}

TEST_CASE("Random bytes stream as valid UTF-8", "[stream]") {
  const Tokenizer tokenizer = load_tokenizer(sentencepiece_file({})).value();
  std::mt19937 random(3);
  StreamDecoder decoder(tokenizer, false);
  std::string text;
  for (int i = 0; i < 20000; ++i) text += decoder.feed(static_cast<TokenId>(3 + random() % 256));
  text += decoder.flush();
  bool valid = true;
  for (std::size_t at = 0; at < text.size();) {
    const auto c = tyto::text::utf8_char(text, at);
    valid = valid && c.code != tyto::text::kNotUtf8;
    at += c.size;
  }
  CHECK(valid);
}
