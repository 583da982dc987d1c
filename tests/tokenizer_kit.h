// What the tokenizers' tests share: vocabularies from files and from lists of tokens, and reference
// ids.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/text/utf8.h"
#include "tests/catch.h"
#include "tests/gguf_writer.h"
#include "tyto/tokenizer.h"

namespace tyto::test {

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline Result<Tokenizer> load_tokenizer(std::string_view gguf) {
  return Tokenizer::load(*memory_source(std::as_bytes(std::span(gguf))).value());
}
inline Result<Tokenizer> load_tokenizer(const GgufWriter& file) {
  return Tokenizer::load(OwnedBytes(file.file()));
}

// One of tests/data.
inline Tokenizer small_tokenizer(const std::string& name) {
  return load_tokenizer(read_text(TYTO_TEST_FILES "/" + name + ".gguf")).value();
}

struct GoldenText {
  std::string text;
  std::vector<TokenId> ids;
};

// Reads one line {"text": "...", "ids": [...]}: just the JSON that Python's json.dumps writes.
class GoldenLine {
 public:
  explicit GoldenLine(std::string_view line) : line_(line) {}
  GoldenText read() {
    GoldenText golden;
    at_ = line_.find('"', line_.find(':')) + 1;
    while (line_[at_] != '"') add_character(golden.text);
    at_ = line_.find('[', at_) + 1;
    while (line_[at_] != ']') {
      const std::size_t end = line_.find_first_of(",]", at_);
      golden.ids.push_back(std::stoi(std::string(line_.substr(at_, end - at_))));
      at_ = line_[end] == ',' ? end + 1 : end;
    }
    return golden;
  }

 private:
  void add_character(std::string& text) {
    if (line_[at_] != '\\') return text.push_back(line_[at_++]);
    const char kind = line_[at_ + 1];
    at_ += 2;
    if (kind != 'u') {
      constexpr std::string_view kNames = "nrtbf", kCodes = "\n\r\t\b\f";
      const std::size_t known = kNames.find(kind);
      return text.push_back(known == std::string_view::npos ? kind : kCodes[known]);
    }
    char32_t code = unit();
    if (code >= 0xD800 && code < 0xDC00) {
      at_ += 2;  // "\u"
      code = 0x10000 + ((code - 0xD800) << 10) + (unit() - 0xDC00);
    }
    text::append_utf8(text, code);
  }
  char32_t unit() {
    const std::string digits(line_.substr(at_, 4));
    at_ += 4;
    return static_cast<char32_t>(std::stoul(digits, nullptr, 16));
  }

  std::string_view line_;
  std::size_t at_ = 0;
};

inline std::vector<GoldenText> read_golden(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<GoldenText> all;
  for (std::string line; std::getline(file, line);) all.push_back(GoldenLine(line).read());
  return all;
}

inline void check_golden(const Tokenizer& tokenizer, const std::vector<GoldenText>& golden) {
  for (const GoldenText& want : golden) {
    INFO(want.text);
    CHECK(tokenizer.encode(want.text).value() == want.ids);
  }
}

inline void check_round_trip(const Tokenizer& tokenizer, const std::string& text) {
  INFO(text);
  CHECK(tokenizer.decode(tokenizer.encode(text).value()).value() == text);
}

// Token types of GGUF files.
enum : std::int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct TestToken {
  std::string piece;
  std::int32_t type = kNormal;
  float score = 0;
};

inline void set_tokens(GgufWriter& file, const std::vector<TestToken>& tokens) {
  std::vector<std::string> pieces;
  std::vector<std::int32_t> types;
  std::vector<float> scores;
  for (const TestToken& token : tokens) {
    pieces.push_back(token.piece);
    types.push_back(token.type);
    scores.push_back(token.score);
  }
  file.set("tokenizer.ggml.tokens", pieces);
  file.set("tokenizer.ggml.token_type", types);
  file.set("tokenizer.ggml.scores", scores);
}

// A SentencePiece vocabulary: <unk>, <s>, </s>, the 256 byte tokens, then `more`, whose ids begin
// at kFirst.
inline constexpr TokenId kFirst = 259;
inline GgufWriter sentencepiece_file(const std::vector<TestToken>& more, bool bytes = true) {
  std::vector<TestToken> tokens = {{"<unk>", kUnknown}, {"<s>", kControl}, {"</s>", kControl}};
  for (int byte = 0; byte < 256 && bytes; ++byte) {
    char piece[8];
    std::snprintf(piece, sizeof piece, "<0x%02X>", static_cast<unsigned>(byte));
    tokens.push_back({piece, kByte});
  }
  tokens.insert(tokens.end(), more.begin(), more.end());
  GgufWriter file;
  file.set("general.architecture", "llama");
  file.set("tokenizer.ggml.model", "llama");
  set_tokens(file, tokens);
  file.set("tokenizer.ggml.bos_token_id", std::uint32_t{1});
  file.set("tokenizer.ggml.eos_token_id", std::uint32_t{2});
  file.set("tokenizer.ggml.unknown_token_id", std::uint32_t{0});
  return file;
}

// How GPT-2's alphabet writes one byte.
inline std::string alphabet_piece(int byte) {
  static const std::vector<char32_t> codes = [] {
    std::vector<char32_t> all(256);
    char32_t next = 256;
    for (char32_t b = 0; b < 256; ++b) {
      const bool printable = (b > 0x20 && b < 0x7F) || (b > 0xA0 && b != 0xAD);
      all[b] = printable ? b : next++;
    }
    return all;
  }();
  std::string piece;
  text::append_utf8(piece, codes[static_cast<std::size_t>(byte)]);
  return piece;
}

// A byte-level BPE vocabulary: the 256 bytes with their ids, then `more`.
inline GgufWriter byte_bpe_file(const std::vector<TestToken>& more,
                                const std::vector<std::string>& merges,
                                std::string_view pre = "gpt-2") {
  std::vector<TestToken> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back({alphabet_piece(byte)});
  tokens.insert(tokens.end(), more.begin(), more.end());
  GgufWriter file;
  file.set("general.architecture", "llama");
  file.set("tokenizer.ggml.model", "gpt2");
  file.set("tokenizer.ggml.pre", pre);
  set_tokens(file, tokens);
  file.set("tokenizer.ggml.merges", merges);
  return file;
}

}  // namespace tyto::test
