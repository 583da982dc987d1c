// Checks that a text is JSON (RFC 8259), and finds values by path. For what the program writes;
// slow and simple.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace tyto::test {

// Every value of a document as text, by path: "memory.devices.0.name". Strings without quotes,
// escapes as they stand; objects and arrays as their number of members.
class JsonReader {
 public:
  // Nothing, if the text is not one JSON value.
  static std::optional<std::map<std::string, std::string>> read(std::string_view text) {
    JsonReader reader(text);
    if (!reader.value("")) return std::nullopt;
    reader.space();
    if (reader.at_ != text.size()) return std::nullopt;
    return reader.values_;
  }

 private:
  explicit JsonReader(std::string_view text) : text_(text) {}

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) { return peek() == c && c != '\0' && ++at_ > 0; }
  void space() {
    while (take(' ') || take('\n') || take('\r') || take('\t')) {
    }
  }

  bool value(const std::string& path) {
    space();
    if (peek() == '{') return members(path, '}', true);
    if (peek() == '[') return members(path, ']', false);
    const std::size_t begin = at_;
    if (peek() == '"') {
      if (!string()) return false;
      values_[path] = text_.substr(begin + 1, at_ - begin - 2);
      return true;
    }
    while (at_ < text_.size() &&
           std::string_view("+-.0123456789eEaflnrstu").find(peek()) != std::string_view::npos)
      ++at_;
    values_[path] = text_.substr(begin, at_ - begin);
    return is_word(values_[path]);
  }

  static bool is_word(const std::string& word) {
    if (word == "true" || word == "false" || word == "null") return true;
    char* end = nullptr;
    std::strtod(word.c_str(), &end);
    return !word.empty() && *end == '\0' && (word[0] == '-' || (word[0] >= '0' && word[0] <= '9'));
  }

  bool string() {
    ++at_;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c == '\\') ++at_;
    }
    return false;
  }

  bool members(const std::string& path, char close, bool named) {
    ++at_;
    int count = 0;
    for (space(); !take(close); ++count, space()) {
      if (count > 0 && !take(',')) return false;
      std::string key = std::to_string(count);
      space();
      if (named) {
        const std::size_t begin = at_ + 1;
        if (peek() != '"' || !string()) return false;
        key = text_.substr(begin, at_ - begin - 1);
        space();
        if (!take(':')) return false;
      }
      if (!value(path.empty() ? key : path + '.' + key)) return false;
    }
    values_[path] = std::to_string(count);
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::map<std::string, std::string> values_;
};

}  // namespace tyto::test
