// Any bytes at all: they come back, and long runs of one character take time like other text and a
// small stack.
#include <algorithm>
#include <functional>
#include <random>
#if __has_include(<pthread.h>)
#include <pthread.h>
#endif

#include "tests/devices.h"
#include "tests/sanitizers.h"
#include "tests/tokenizer_kit.h"

using namespace tyto;
using namespace tyto::test;

static const std::vector<std::string> kBadUtf8 = {"\xC0\x80",
                                                  "\xED\xA0\x80",
                                                  "\xF4\x90\x80\x80",
                                                  "\xF5",
                                                  "\x80",
                                                  "\xFF\xFE",
                                                  "\xE2\x82",
                                                  "a\xC3",
                                                  "\xF0\x9F\x98",
                                                  "\xE0\x80\x80",
                                                  "\xC3(",
                                                  "\xE2(\xA1",
                                                  "x\xF5y\x80z",
                                                  std::string(1, '\0'),
                                                  "\xEF\xBB\xBFtext",
                                                  std::string("a\0b", 3),
                                                  "\xC3\xA9\xC3",
                                                  "'\xC5",
                                                  " \xF0\x9F"};

TEST_CASE("Bytes that are not UTF-8 come back as they were", "[tokenizer]") {
  for (const char* name : {"spm", "qwen2"}) {
    const Tokenizer tokenizer = small_tokenizer(name);
    for (const std::string& text : kBadUtf8) {
      check_round_trip(tokenizer, text);
      check_round_trip(tokenizer, "words before " + text + " and after");
    }
  }
}

// Random bytes, most of them in characters that tokenizers care about.
static std::string random_text(std::mt19937& random) {
  static const std::vector<std::string> kParts = {
      " ",    "  ",         "\n",  "\r\n",  "\t",     "'s",     "'RE",    "'", "the",
      "The ", "123",        "4",   "é",     "日本",   "\u3000", "\u00a0", "😀", "\u0301",
      "?!",   "<|im_end|>", "<s>", "[UNK]", "\u2028", "ſ",      "½"};
  std::string text;
  for (unsigned left = random() % 40; left > 0; --left) {
    if (random() % 3 == 0) {
      text.push_back(static_cast<char>(random() % 256));
    } else {
      text += kParts[random() % kParts.size()];
    }
  }
  return text;
}

TEST_CASE("Random bytes come back from their ids", "[tokenizer]") {
  std::mt19937 random(20240501);
  const Tokenizer spm = small_tokenizer("spm"), bpe = small_tokenizer("qwen2");
  for (int i = 0; i < 3000; ++i) {
    const std::string text = random_text(random);
    const auto plain = spm.encode(text).value();
    const auto words = bpe.encode(text).value();
    const bool good = spm.decode(plain).value() == text && bpe.decode(words).value() == text;
    if (!good) FAIL_CHECK("text " << i << ": " << text);
    // No control token came of it.
    CHECK(std::none_of(plain.begin(), plain.end(),
                       [&](TokenId id) { return spm.bytes(id).empty(); }));
    CHECK(std::none_of(words.begin(), words.end(),
                       [&](TokenId id) { return bpe.bytes(id).empty(); }));
  }
}

TEST_CASE("Every pre-tokenizer keeps all bytes", "[tokenizer]") {
  std::mt19937 random(7);
  for (const char* pre : {"gpt-2", "llama-bpe", "qwen2", "deepseek-coder", "smollm", "default"}) {
    const Tokenizer tokenizer =
        load_tokenizer(byte_bpe_file({{"th"}, {"the"}}, {"t h", "th e"}, pre)).value();
    for (int i = 0; i < 500; ++i) check_round_trip(tokenizer, random_text(random));
  }
}

// As in a host that gives its threads little: 64 KiB of stack, where the system and the build allow
// it.
static void run_on_small_stack(std::function<void()> body) {
#if __has_include(<pthread.h>) && !TYTO_ADDRESS_SANITIZER && !TYTO_THREAD_SANITIZER
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  REQUIRE(pthread_attr_setstacksize(&attributes, 64 * 1024) == 0);
  pthread_t thread;
  const auto call = [](void* f) -> void* {
    (*static_cast<std::function<void()>*>(f))();
    return nullptr;
  };
  REQUIRE(pthread_create(&thread, &attributes, call, &body) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
#else
  body();
#endif
}

static std::string repeat(std::string_view part, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += part;
  return text;
}

TEST_CASE("A mebibyte of one character is text like any other, on a small stack", "[tokenizer]") {
  constexpr std::size_t kMebibyte = 1 << 20;
  for (const char* name : {"spm", "qwen2", "wordpiece"}) {
    const Tokenizer tokenizer = small_tokenizer(name);
    for (const char* part : {"A", " ", "\n", "\u65E5", "\u0301", "7", "\x80", "'", "a ", "\r\n "}) {
      INFO(name << " " << part);
      const std::string text = repeat(part, kMebibyte);
      std::string back;
      run_on_small_stack([&] { back = tokenizer.decode(tokenizer.encode(text).value()).value(); });
      if (std::string_view(name) != "wordpiece") CHECK((back == text));
    }
  }
}

TEST_CASE("Long runs merge all the way", "[tokenizer]") {
  std::vector<TestToken> tokens;
  std::vector<std::string> merges;
  for (std::size_t size = 1; size < 256; size *= 2) {
    tokens.push_back({std::string(size * 2, 'A')});
    merges.push_back(std::string(size, 'A') + " " + std::string(size, 'A'));
  }
  const std::string run(1 << 20, 'A');
  const std::vector<TokenId> want(run.size() / 256, 256 + 7);
  CHECK((load_tokenizer(byte_bpe_file(tokens, merges)).value().encode(run).value() == want));

  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i].score = -static_cast<float>(i);
  tokens.push_back({"A"});
  GgufWriter file = sentencepiece_file(tokens);
  file.set("tokenizer.ggml.add_space_prefix", false);
  const auto ids = load_tokenizer(file).value().encode(run).value();
  CHECK(ids.size() == want.size());
  CHECK(std::all_of(ids.begin(), ids.end(), [](TokenId id) { return id == kFirst + 7; }));
}
