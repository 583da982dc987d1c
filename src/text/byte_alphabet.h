// GPT-2's bytes_to_unicode (github.com/openai/gpt-2, encoder.py): each byte as one printable
// character. Printable Latin-1 stands for itself; the other 68 bytes, in order, are U+0100 and up.
#pragma once
#include <array>
#include <string>
#include <string_view>

#include "src/text/utf8.h"

namespace tyto::text {

inline constexpr auto kAlphabetByte = [] {  // by code point; -1: not of the alphabet
  std::array<short, 256 + 68> bytes{};
  bytes.fill(-1);
  std::size_t next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
    bytes[printable ? static_cast<std::size_t>(byte) : next++] = static_cast<short>(byte);
  }
  return bytes;
}();

// Appends the bytes that `piece` writes; false where a character is none of the alphabet's.
inline bool append_alphabet_bytes(std::string_view piece, std::string& bytes) {
  for (std::size_t at = 0; at < piece.size();) {
    const Utf8Char c = utf8_char(piece, at);
    if (c.code >= kAlphabetByte.size() || kAlphabetByte[c.code] < 0) return false;
    bytes.push_back(static_cast<char>(kAlphabetByte[c.code]));
    at += c.size;
  }
  return true;
}

}  // namespace tyto::text
