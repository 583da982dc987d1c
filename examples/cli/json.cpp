#include "examples/cli/json.h"

#include <charconv>
#include <cmath>

namespace cli {
namespace {

// The length of the well-formed UTF-8 character that `text` begins with (The Unicode Standard,
// table 3-7); 0: none.
std::size_t character_length(std::string_view text) {
  const auto at = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto follows = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
    return at(i) >= low && at(i) <= high;
  };
  const unsigned first = at(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const bool second = follows(1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf);
    return second && follows(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool second = follows(1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf);
    return second && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

void append_escaped(std::string& out, char c) {
  constexpr char kHex[] = "0123456789abcdef";
  const auto code = static_cast<unsigned char>(c);
  if (c == '"' || c == '\\') {
    out += {'\\', c};
  } else if (c == '\n') {
    out += "\\n";
  } else if (code < 0x20 || code == 0x7f) {
    out += {'\\', 'u', '0', '0', kHex[code >> 4], kHex[code & 15]};
  } else {
    out += c;
  }
}

template <class Real>
std::string number_text(Real value) {
  if (!std::isfinite(value)) return "null";
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return std::string(text, end);
}

void append(std::string& body, std::string_view item) {
  if (!body.empty()) body += ',';
  body += item;
}

}  // namespace

std::string json_string(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    if (length == 1) {
      append_escaped(out, text[0]);
    } else if (length == 0) {
      out += "\uFFFD";
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out + '"';
}

std::string json_number(double value) { return number_text(value); }
std::string json_number(float value) { return number_text(value); }

JsonArray& JsonArray::raw(std::string_view json) {
  append(body_, json);
  return *this;
}

JsonObject& JsonObject::raw(std::string_view key, std::string_view json) {
  append(body_, json_string(key) + ':' + std::string(json));
  return *this;
}

}  // namespace cli
