// What tokens of each kind do, beyond what goldens show.
#include "src/text/tokenizer.h"
#include "tests/tokenizer_kit.h"

using namespace tyto;
using namespace tyto::test;

using Ids = std::vector<TokenId>;

static Ids encode(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = {}) {
  return tokenizer.encode(text, options).value();
}

TEST_CASE("Text never becomes a control token unless the caller allows it", "[tokenizer]") {
  // "</s>" can be put together by merges, and is out of reach all the same.
  const Tokenizer spm =
      load_tokenizer(sentencepiece_file({{"<"}, {"/"}, {"s"}, {">"}, {"</"}, {"</s"}})).value();
  CHECK(encode(spm, "</s>") == Ids{3 + ' ', kFirst + 5, kFirst + 3});
  CHECK(encode(spm, "a</s>", {.parse_special = true}) == Ids{3 + ' ', 3 + 'a', 2});
  CHECK(encode(spm, "<unk><0x0A>") == Ids{3 + ' ', kFirst, 3 + 'u', 3 + 'n', 3 + 'k', kFirst + 3,
                                          kFirst, 3 + '0', 3 + 'x', 3 + '0', 3 + 'A', kFirst + 3});

  const Tokenizer bpe =
      load_tokenizer(byte_bpe_file({{"<|end|>", kControl}, {"<|"}}, {"< |"}, "llama-bpe")).value();
  CHECK(encode(bpe, "<|end|>") == Ids{257, 'e', 'n', 'd', '|', '>'});
  CHECK(encode(bpe, "<|end|>", {.parse_special = true}) == Ids{256});
}

TEST_CASE("A merge into a control token is left out", "[tokenizer]") {
  const Tokenizer bpe =
      load_tokenizer(byte_bpe_file({{"ab", kControl}, {"bc"}}, {"a b", "b c"})).value();
  CHECK(encode(bpe, "abc") == Ids{'a', 257});
}

TEST_CASE("User-defined tokens are found in all text, the longest of the leftmost", "[tokenizer]") {
  const Tokenizer bpe = load_tokenizer(byte_bpe_file({{"<a>", kUserDefined},
                                                      {"<a><b>", kUserDefined},
                                                      {"  ", kUserDefined},
                                                      {"õ", kUserDefined}},
                                                     {}))
                            .value();
  CHECK(encode(bpe, "x<a><b><a>y") == Ids{'x', 257, 256, 'y'});
  CHECK(encode(bpe, "<a<a>") == Ids{'<', 'a', 256});
  CHECK(encode(bpe, "     ") == Ids{258, 258, ' '});
  CHECK(encode(bpe, "õ") == Ids{259});
  check_round_trip(bpe, "õ <a>  <a><b>");
}

TEST_CASE("A space goes before a text and after a token in it, and away again", "[tokenizer]") {
  GgufWriter file = sentencepiece_file({{"\u2581"}, {"\u2581x"}, {"x"}, {"<t>", kUserDefined}});
  const Tokenizer with = load_tokenizer(file).value();
  CHECK(encode(with, "x") == Ids{kFirst + 1});
  CHECK(encode(with, "x<t>x") == Ids{kFirst + 1, kFirst + 3, kFirst + 1});
  CHECK(encode(with, "").empty());
  for (const char* text : {"x", " x", "  x", " ", "", "x<t>x", "x <t> x", "<t>", "<t><t> "})
    check_round_trip(with, text);
  // A control token between words leaves their spaces alone.
  CHECK(with.decode(Ids{1, kFirst + 1, 2, kFirst + 1}).value() == "x x");

  file.set("tokenizer.ggml.add_space_prefix", false);
  const Tokenizer without = load_tokenizer(file).value();
  CHECK(encode(without, "x x") == Ids{kFirst + 2, kFirst + 1});
  CHECK(without.decode(Ids{kFirst + 1}).value() == " x");
}

TEST_CASE("The begin and end tokens are the file's choice", "[tokenizer]") {
  GgufWriter file = sentencepiece_file({});
  CHECK(encode(load_tokenizer(file).value(), "", {.add_special = true}) == Ids{1});
  file.set("tokenizer.ggml.add_eos_token", true);
  file.set("tokenizer.ggml.add_bos_token", false);
  CHECK(encode(load_tokenizer(file).value(), "", {.add_special = true}) == Ids{2});
  CHECK(encode(load_tokenizer(file).value(), "").empty());

  GgufWriter bpe = byte_bpe_file({{"<b>", kControl}, {"<e>", kControl}}, {});
  bpe.set("tokenizer.ggml.bos_token_id", std::uint32_t{256});
  bpe.set("tokenizer.ggml.eos_token_id", std::uint32_t{257});
  CHECK(encode(load_tokenizer(bpe).value(), "a", {.add_special = true}) == Ids{'a'});
  bpe.set("tokenizer.ggml.pre", "llama-bpe");
  CHECK(encode(load_tokenizer(bpe).value(), "a", {.add_special = true}) == Ids{256, 'a'});

  const Tokenizer wordpiece = small_tokenizer("wordpiece");
  CHECK(encode(wordpiece, "", {.add_special = true}) ==
        Ids{*wordpiece.special("[CLS]"), *wordpiece.special("[SEP]")});
}

TEST_CASE("A tokenizer tells what its tokens are", "[tokenizer]") {
  GgufWriter file =
      sentencepiece_file({{"\u2581the"}, {"<|im_end|>", kUserDefined}, {"<tool>", kUserDefined}});
  file.set("tokenizer.ggml.eot_token_id", std::uint32_t{kFirst + 2});
  const Tokenizer tokenizer = load_tokenizer(file).value();
  CHECK(tokenizer.vocab_size() == kFirst + 3);
  CHECK(tokenizer.piece(kFirst) == "\u2581the");
  CHECK(tokenizer.bytes(kFirst) == " the");
  CHECK(tokenizer.bytes(3 + 0xE9) == "\xE9");
  CHECK(tokenizer.piece(1) == "<s>");
  CHECK(tokenizer.bytes(1).empty());
  CHECK(tokenizer.bytes(-1).empty());
  CHECK(tokenizer.piece(kFirst + 3).empty());
  CHECK(tokenizer.special("</s>") == TokenId{2});
  CHECK_FALSE(tokenizer.special("the"));
  CHECK_FALSE(tokenizer.special(""));
  CHECK(tokenizer.begin_of_text() == TokenId{1});
  CHECK(tokenizer.ends_text(2));
  CHECK(
      tokenizer.ends_text(kFirst + 1));  // by its name: a control token, whatever its declared type
  CHECK(tokenizer.ends_text(kFirst + 2));  // by eot_token_id
  CHECK_FALSE(tokenizer.ends_text(kFirst));
  CHECK_FALSE(tokenizer.ends_text(kFirst + 3));
  CHECK(tokenizer.impl()->memory_bytes() > 1000);
}

TEST_CASE("An empty tokenizer answers bad_argument", "[tokenizer]") {
  const Tokenizer none;
  CHECK(none.encode("a").error().code() == ErrorCode::bad_argument);
  CHECK(none.decode(Ids{0}).error().code() == ErrorCode::bad_argument);
  CHECK(none.vocab_size() == 0);
  CHECK(none.piece(0).empty());
  CHECK_FALSE(none.special("<s>"));
  CHECK_FALSE(none.begin_of_text());
  CHECK_FALSE(none.ends_text(0));
}

TEST_CASE("An id outside the vocabulary is bad_argument", "[tokenizer]") {
  const Tokenizer tokenizer = small_tokenizer("spm");
  for (const TokenId id : {-1, tokenizer.vocab_size(), INT32_MAX}) {
    const auto text = tokenizer.decode(Ids{5, id});
    CHECK(text.error().code() == ErrorCode::bad_argument);
    CHECK(text.error().message().find(std::to_string(id)) != std::string::npos);
  }
}

TEST_CASE("Of three equal tokens the lowest id wins", "[tokenizer]") {
  const Tokenizer spm = load_tokenizer(sentencepiece_file({{"ab"}, {"ab"}, {"ab"}})).value();
  CHECK(encode(spm, "ab") == Ids{3 + ' ', kFirst});
  const Tokenizer bpe = load_tokenizer(byte_bpe_file({{"ab"}, {"ab"}, {"ab"}}, {"a b"})).value();
  CHECK(encode(bpe, "ab") == Ids{256});
  const Tokenizer control =
      load_tokenizer(byte_bpe_file({{"<c>", kControl}, {"<c>", kControl}}, {})).value();
  CHECK(encode(control, "<c>", {.parse_special = true}) == Ids{256});
}

TEST_CASE("Bytes without a token become the unknown token, or nothing", "[tokenizer]") {
  GgufWriter file = sentencepiece_file({{"\u2581"}, {"a"}}, false);
  const Tokenizer tokenizer = load_tokenizer(file).value();
  CHECK(encode(tokenizer, "a\n\xC3\xA9q a") == Ids{3, 4, 0, 3, 4});
  file.remove_key("tokenizer.ggml.unknown_token_id");
  set_tokens(file, {{"<s>", kControl}, {"</s>", kControl}, {"x", kControl}, {"\u2581"}, {"a"}});
  CHECK(encode(load_tokenizer(file).value(), "a\na") == Ids{3, 4, 4});

  GgufWriter bpe = byte_bpe_file({}, {});
  set_tokens(bpe, {{"a"}, {"b"}, {"ab"}});
  bpe.set("tokenizer.ggml.merges", std::vector<std::string>{"a b"});
  CHECK(encode(load_tokenizer(bpe).value(), "ab\nab") == Ids{2, 2});
}

TEST_CASE("A word that is a token stands before its merges only where the pre-tokenizer says so",
          "[tokenizer]") {
  const std::vector<TestToken> tokens = {{"ab"}, {"bc"}, {"abc"}};
  CHECK(encode(load_tokenizer(byte_bpe_file(tokens, {"b c", "a b"}, "gpt-2")).value(), "abc") ==
        Ids{'a', 257});
  CHECK(encode(load_tokenizer(byte_bpe_file(tokens, {"b c", "a b"}, "llama-bpe")).value(), "abc") ==
        Ids{258});
}

TEST_CASE("A file without token types serves text and keeps its special tokens apart",
          "[tokenizer]") {
  GgufWriter file = sentencepiece_file({{"\u2581hi"}});
  file.remove_key("tokenizer.ggml.token_type");
  const Tokenizer tokenizer = load_tokenizer(file).value();
  check_round_trip(tokenizer, "hi \xC3\xA9</s>");
  CHECK(tokenizer.bytes(3 + 'a') == "a");
  CHECK(tokenizer.bytes(2).empty());
}
