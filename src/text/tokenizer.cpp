#include "src/text/tokenizer.h"

#include "src/base/error.h"
#include "src/file/tensor_source.h"

namespace tyto {
inline namespace v1 {

using text::kNoToken;

std::uint64_t Tokenizer::Impl::memory_bytes() const noexcept {
  return sizeof(*this) + vocabulary.memory_bytes() + specials.memory_bytes() +
         encoder->memory_bytes();
}

static Result<Tokenizer> load_gguf(std::shared_ptr<const FileSource> source,
                                   std::string_view file_name, const FileSystem* files) {
  TYTO_TRY(const auto model, file::open_model(std::move(source), file_name, files));
  return text::make_tokenizer(model->metadata(), file_name);
}

Result<Tokenizer> Tokenizer::load(std::string_view utf8_path) {
  return guarded([&]() -> Result<Tokenizer> {
    TYTO_TRY(auto source, file::os_files().open(utf8_path));
    return load_gguf(std::move(source), utf8_path, &file::os_files());
  });
}

Result<Tokenizer> Tokenizer::load(const FileSource& source) {
  return guarded([&]() -> Result<Tokenizer> {
    return load_gguf({std::shared_ptr<void>(), &source}, "tokenizer file", nullptr);  // borrowed
  });
}

static void encode_text(const Tokenizer::Impl& tokenizer, std::string_view text, bool parse_special,
                        std::vector<TokenId>& ids) {
  const auto encoding = tokenizer.encoder->begin(text, ids);
  for (std::size_t at = 0; at < text.size();) {
    const auto special = tokenizer.specials.find(text, at, parse_special);
    if (special.begin > at) encoding->add(text.substr(at, special.begin - at));
    if (special.id != kNoToken) ids.push_back(special.id);
    at = special.end;
  }
}

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  return guarded([&]() -> Result<std::vector<TokenId>> {
    if (!impl_) return fail(ErrorCode::bad_argument, "the tokenizer is empty");
    if (text.size() > INT32_MAX)
      return fail(ErrorCode::limit, "the text has {} bytes; at most 2^31-1 can be encoded",
                  text.size());
    std::vector<TokenId> ids;
    ids.reserve(text.size() / 3 + 2);
    if (options.add_special && impl_->first != kNoToken) ids.push_back(impl_->first);
    encode_text(*impl_, text, options.parse_special, ids);
    if (options.add_special && impl_->last != kNoToken) ids.push_back(impl_->last);
    return ids;
  });
}

Result<std::string> Tokenizer::decode(std::span<const TokenId> ids) const {
  return guarded([&]() -> Result<std::string> {
    if (!impl_) return fail(ErrorCode::bad_argument, "the tokenizer is empty");
    text::SequenceBytes bytes(*impl_, true);
    std::string text;
    for (const TokenId id : ids) {
      if (!impl_->vocabulary.contains(id))
        return fail(ErrorCode::bad_argument, "token {} is not in the vocabulary of {} tokens", id,
                    vocab_size());
      text += bytes.next(id);
    }
    return text;
  });
}

std::string_view Tokenizer::bytes(TokenId id) const noexcept {
  return impl_ && impl_->vocabulary.contains(id) ? impl_->vocabulary.bytes(id) : std::string_view();
}

std::string_view Tokenizer::piece(TokenId id) const noexcept {
  return impl_ && impl_->vocabulary.contains(id) ? impl_->vocabulary.piece(id) : std::string_view();
}

std::optional<TokenId> Tokenizer::special(std::string_view name) const noexcept {
  if (!impl_) return std::nullopt;
  const TokenId id = impl_->specials.whole(name);
  const bool control = id != kNoToken && impl_->vocabulary.type(id) == text::TokenType::control;
  return control ? std::optional(id) : std::nullopt;
}

std::optional<TokenId> Tokenizer::begin_of_text() const noexcept {
  if (!impl_ || impl_->vocabulary.roles().begin == kNoToken) return std::nullopt;
  return impl_->vocabulary.roles().begin;
}

bool Tokenizer::ends_text(TokenId id) const noexcept {
  return impl_ && impl_->vocabulary.contains(id) && impl_->vocabulary.ends_text(id);
}

int Tokenizer::vocab_size() const noexcept { return impl_ ? impl_->vocabulary.size() : 0; }

}  // namespace v1

namespace text {

std::string_view SequenceBytes::next(TokenId id) noexcept {
  const Vocabulary& vocabulary = tokenizer_->vocabulary;
  std::string_view bytes = vocabulary.bytes(id);
  if (bytes.empty()) return bytes;
  if (drop_space_ && bytes[0] == ' ') bytes.remove_prefix(1);
  drop_space_ = tokenizer_->space_prefix && vocabulary.type(id) == TokenType::user_defined;
  return bytes;
}

}  // namespace text
}  // namespace tyto
