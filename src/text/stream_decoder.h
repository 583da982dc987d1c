// Text while it is generated, in whole characters: a token may end inside one.
#pragma once
#include <string>
#include <string_view>

#include "src/text/tokenizer.h"
#include "tyto/tokenizer.h"

namespace tyto::text {

// What it gives is always UTF-8: bytes that can never become a character are U+FFFD, one for each
// maximal part of a character (Unicode 16, section 3.9, "substitution of maximal subparts"). The
// raw bytes are Tokenizer::bytes. One thread at a time. A copy goes on from where the original is.
class StreamDecoder {
 public:
  // starts_text: the first token begins a text, and loses the space that encoding would have put
  // before it.
  StreamDecoder(Tokenizer tokenizer, bool starts_text);

  // The characters that this token completes, possibly none. Ids outside the vocabulary have none.
  // The view is valid until the next call.
  std::string_view feed(TokenId id);
  // The end of the text: what began a character and did not end it.
  std::string_view flush();

 private:
  void take(std::string_view bytes);
  void replace_pending();

  Tokenizer tokenizer_;  // keeps alive what bytes_ points to
  SequenceBytes bytes_;
  std::string pending_;  // the first bytes of a character, at most three
  std::string text_;
};

}  // namespace tyto::text
