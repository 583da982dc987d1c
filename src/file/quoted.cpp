#include "src/file/quoted.h"

#include <fmt/format.h>

#include <iterator>

#include "src/text/utf8.h"

namespace tyto::file {

using text::kNotUtf8, text::utf8_char;

std::string quoted(std::string_view text, std::size_t longest) {
  std::string result = "'";
  std::size_t at = 0;
  while (at < text.size()) {
    const auto c = utf8_char(text, at);
    if (at + c.size > longest) break;
    if (c.code < 0x20 || c.code == 0x7F || c.code == kNotUtf8) {
      fmt::format_to(std::back_inserter(result), "\\x{:02x}", static_cast<unsigned char>(text[at]));
    } else {
      result += text.substr(at, c.size);
    }
    at += c.size;
  }
  if (at < text.size()) result += "...";
  return result += '\'';
}

}  // namespace tyto::file
