#include "src/base/error.h"
#include "src/file/quoted.h"
#include "src/text/pretokenizer.h"
#include "src/text/tokenizer.h"

namespace tyto::text {
namespace {

Result<ModelKind> model_kind(const file::Metadata& metadata, std::string_view file_name) {
  constexpr std::string_view kKey = "tokenizer.ggml.model";
  TYTO_TRY(const std::string_view model, metadata.text(kKey));
  if (model == "llama") return ModelKind::sentencepiece;
  if (model == "gpt2") return ModelKind::byte_bpe;
  if (model == "bert") return ModelKind::wordpiece;
  return fail(ErrorCode::unsupported, "{}: {} is {}; this build knows llama, gpt2 and bert",
              file_name, kKey, file::quoted(model));
}

Result<const PreTokenizer*> pre_tokenizer(const file::Metadata& metadata,
                                          std::string_view file_name) {
  constexpr std::string_view kKey = "tokenizer.ggml.pre";
  TYTO_TRY(const std::string_view name, metadata.text_or(kKey, "default"));
  const PreTokenizer* pre = find_pre_tokenizer(name);
  if (pre == nullptr)
    return fail(ErrorCode::unsupported, "{}: {} is {}; this build knows {}", file_name, kKey,
                file::quoted(name), pre_tokenizer_names());
  return pre;
}

// The token that add_special adds: by the file's flag, or by the field's default for files without
// it.
Result<TokenId> added(const file::Metadata& metadata, std::string_view file_name,
                      std::string_view flag, bool otherwise, TokenId token) {
  TYTO_TRY(const bool add, metadata.flag_or(flag, otherwise));
  if (add && token == kNoToken && metadata.has(flag))
    return fail(ErrorCode::bad_file, "{}: {} is true, but the file names no such token", file_name,
                flag);
  return add ? token : kNoToken;
}

}  // namespace

Result<Tokenizer> make_tokenizer(const file::Metadata& metadata, std::string_view file_name) {
  TYTO_TRY(const ModelKind kind, model_kind(metadata, file_name));
  TYTO_TRY(Vocabulary vocabulary, Vocabulary::load(metadata, file_name, kind));
  const auto tokenizer = std::make_shared<Tokenizer::Impl>(std::move(vocabulary));
  const Roles& roles = tokenizer->vocabulary.roles();
  bool adds_begin = kind == ModelKind::sentencepiece;
  if (kind == ModelKind::sentencepiece) {
    TYTO_TRY(tokenizer->space_prefix, metadata.flag_or("tokenizer.ggml.add_space_prefix", true));
    TYTO_TRY(tokenizer->encoder, make_sentencepiece(metadata, file_name, tokenizer->vocabulary,
                                                    tokenizer->space_prefix));
  } else if (kind == ModelKind::byte_bpe) {
    TYTO_TRY(const PreTokenizer* pre, pre_tokenizer(metadata, file_name));
    TYTO_TRY(tokenizer->encoder, make_byte_bpe(metadata, file_name, tokenizer->vocabulary, *pre));
    adds_begin = pre->adds_begin;
  } else {
    TYTO_TRY(tokenizer->encoder, make_wordpiece(metadata, tokenizer->vocabulary));
    tokenizer->space_prefix = true;  // every word has its space, also the first
    tokenizer->first = roles.begin;
    tokenizer->last = roles.separator;
    return Tokenizer(tokenizer);
  }
  TYTO_TRY(tokenizer->first,
           added(metadata, file_name, "tokenizer.ggml.add_bos_token", adds_begin, roles.begin));
  TYTO_TRY(tokenizer->last,
           added(metadata, file_name, "tokenizer.ggml.add_eos_token", false, roles.end));
  return Tokenizer(tokenizer);
}

}  // namespace tyto::text
