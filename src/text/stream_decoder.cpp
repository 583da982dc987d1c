#include "src/text/stream_decoder.h"

#include "src/text/utf8.h"

namespace tyto::text {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

StreamDecoder::StreamDecoder(Tokenizer tokenizer, bool starts_text)
    : tokenizer_(std::move(tokenizer)), bytes_(*tokenizer_.impl(), starts_text) {}

std::string_view StreamDecoder::feed(TokenId id) {
  text_.clear();
  if (tokenizer_.impl()->vocabulary.contains(id)) take(bytes_.next(id));
  return text_;
}

std::string_view StreamDecoder::flush() {
  text_.clear();
  if (!pending_.empty()) replace_pending();
  return text_;
}

void StreamDecoder::replace_pending() {
  text_ += kReplacement;
  pending_.clear();
}

void StreamDecoder::take(std::string_view bytes) {
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (!pending_.empty()) {
      const auto lead = static_cast<unsigned char>(pending_[0]);
      const bool fits = pending_.size() == 1 ? utf8_second(lead, byte) : is_continuation(c);
      if (fits) {
        pending_.push_back(c);
        if (pending_.size() < utf8_size(lead)) continue;
        text_ += pending_;
        pending_.clear();
        continue;
      }
      replace_pending();
    }
    const std::size_t size = utf8_size(byte);
    if (size == 1) {
      text_.push_back(c);
    } else if (size == 0) {
      text_ += kReplacement;
    } else {
      pending_.push_back(c);
    }
  }
}

}  // namespace tyto::text
