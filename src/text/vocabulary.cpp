#include "src/text/vocabulary.h"

#include <algorithm>
#include <bit>

#include "src/base/error.h"
#include "src/file/quoted.h"
#include "src/text/byte_alphabet.h"
#include "src/text/hashing.h"

namespace tyto::text {
namespace {

constexpr std::string_view kEscapedSpace = "\xE2\x96\x81";

// Files name few of the tokens that end a turn by id; the field goes by these names (llama.cpp's
// llama-vocab.cpp).
constexpr std::string_view kEndNames[] = {
    "</s>",       "<eos>",      "<|endoftext|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>",
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>",    "<|end|>",         "<end_of_turn>",
    "<|EOT|>",    "<EOT>",      "[EOT]",         "[EOS]",           "<end_of_utterance>"};

std::string unescaped(std::string_view piece) {
  std::string text;
  for (std::size_t at = 0; at < piece.size();) {
    const bool space = piece.substr(at).starts_with(kEscapedSpace);
    text.push_back(space ? ' ' : piece[at]);
    at += space ? kEscapedSpace.size() : 1;
  }
  return text;
}

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// "<0x0A>" is 10; anything else is -1.
int parse_byte(std::string_view piece) noexcept {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return -1;
  const int high = hex_digit(piece[3]), low = hex_digit(piece[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// Whether text may become it word by word. User-defined tokens are matched before that, but
// SentencePiece's merges pass through them.
bool may_merge(TokenType type, ModelKind kind) noexcept {
  return type == TokenType::undefined || type == TokenType::normal ||
         (type == TokenType::user_defined && kind == ModelKind::sentencepiece);
}

}  // namespace

Result<Vocabulary> Vocabulary::load(const file::Metadata& metadata, std::string_view file_name,
                                    ModelKind kind) {
  TYTO_TRY(const file::TextArray tokens, metadata.texts("tokenizer.ggml.tokens"));
  if (tokens.size() == 0)
    return fail(ErrorCode::bad_file, "{}: tokenizer.ggml.tokens is empty", file_name);
  if (tokens.size() > INT32_MAX)
    return fail(ErrorCode::limit,
                "{}: tokenizer.ggml.tokens has {} tokens; at most 2^31-1 are supported", file_name,
                tokens.size());
  Vocabulary vocabulary;
  vocabulary.types_.assign(tokens.size(), TokenType::normal);
  vocabulary.ends_text_.assign(tokens.size(), false);
  for (std::size_t i = 0; i < tokens.size(); ++i) vocabulary.pieces_.add(tokens[i]);
  TYTO_TRY(vocabulary.load_types(metadata, file_name));
  TYTO_TRY(vocabulary.load_roles(metadata, file_name));
  vocabulary.settle_types(metadata.has("tokenizer.ggml.token_type"), kind);
  TYTO_TRY(vocabulary.load_bytes(file_name, kind));
  return vocabulary;
}

Result<> Vocabulary::load_types(const file::Metadata& metadata, std::string_view file_name) {
  constexpr std::string_view kKey = "tokenizer.ggml.token_type";
  if (!metadata.has(kKey)) return {};
  TYTO_TRY(const auto types, metadata.integers(kKey));
  if (types.size() != types_.size())
    return fail(ErrorCode::bad_file, "{}: {} has {} elements, but there are {} tokens", file_name,
                kKey, types.size(), types_.size());
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (types[i] < 0 || types[i] > static_cast<int>(TokenType::byte))
      return fail(ErrorCode::bad_file, "{}: {} of token {} is {}, expected 0 to 6", file_name, kKey,
                  i, types[i]);
    types_[i] = static_cast<TokenType>(types[i]);
  }
  return {};
}

Result<> Vocabulary::load_roles(const file::Metadata& metadata, std::string_view file_name) {
  const struct {
    std::string_view key;
    TokenId* role;
  } kRoles[] = {
      {"tokenizer.ggml.cls_token_id", &roles_.begin},  // WordPiece's name of it; the next one wins
      {"tokenizer.ggml.bos_token_id", &roles_.begin},
      {"tokenizer.ggml.eos_token_id", &roles_.end},
      {"tokenizer.ggml.eot_token_id", &roles_.end_of_turn},
      {"tokenizer.ggml.eom_token_id", &roles_.end_of_message},
      {"tokenizer.ggml.unknown_token_id", &roles_.unknown},
      {"tokenizer.ggml.seperator_token_id", &roles_.separator}};  // the field's spelling
  for (const auto& [key, role] : kRoles) {
    if (!metadata.has(key)) continue;
    TYTO_TRY(const std::uint64_t id, metadata.integer(key));
    if (id >= types_.size())
      return fail(ErrorCode::bad_file, "{}: {} is {}, but the vocabulary has {} tokens", file_name,
                  key, id, size());
    *role = static_cast<TokenId>(id);
  }
  return {};
}

TokenId Vocabulary::first_named(std::string_view piece) const noexcept {
  for (TokenId id = 0; id < size(); ++id)
    if (pieces_[id] == piece) return id;
  return kNoToken;
}

// Fills in what files leave out, and keeps what text from a user must never become out of its
// reach.
void Vocabulary::settle_types(bool types_given, ModelKind kind) {
  const auto type = [&](TokenId id) -> TokenType& { return types_[static_cast<std::size_t>(id)]; };
  if (!types_given && kind == ModelKind::sentencepiece) {
    for (TokenId id = 0; id < size(); ++id)
      if (parse_byte(pieces_[id]) >= 0) type(id) = TokenType::byte;
  }
  if (kind == ModelKind::wordpiece) {
    if (roles_.begin == kNoToken) roles_.begin = first_named("[CLS]");
    if (roles_.separator == kNoToken) roles_.separator = first_named("[SEP]");
    if (roles_.unknown == kNoToken) roles_.unknown = first_named("[UNK]");
  }
  const auto unknown = std::find(types_.begin(), types_.end(), TokenType::unknown);
  if (roles_.unknown == kNoToken && unknown != types_.end())
    roles_.unknown = static_cast<TokenId>(unknown - types_.begin());
  for (const TokenId id :
       {roles_.begin, roles_.end, roles_.end_of_turn, roles_.end_of_message, roles_.separator}) {
    if (id == kNoToken) continue;
    if (type(id) == TokenType::user_defined || !types_given) type(id) = TokenType::control;
  }
  if (roles_.unknown != kNoToken && !types_given) type(roles_.unknown) = TokenType::unknown;
  for (const TokenId id : {roles_.end, roles_.end_of_turn, roles_.end_of_message})
    if (id != kNoToken) ends_text_[static_cast<std::size_t>(id)] = true;
  for (TokenId id = 0; id < size(); ++id) {
    if (type(id) != TokenType::control && type(id) != TokenType::user_defined) continue;
    if (std::find(std::begin(kEndNames), std::end(kEndNames), pieces_[id]) == std::end(kEndNames))
      continue;
    type(id) = TokenType::control;
    ends_text_[static_cast<std::size_t>(id)] = true;
  }
}

// What the token stands for, in `bytes`; false where text can never become it word by word.
static Result<bool> spell_out(std::string_view piece, TokenType type, ModelKind kind,
                              std::string& bytes) {
  bytes.clear();
  if (type == TokenType::control || type == TokenType::unknown) return false;
  if (type == TokenType::byte) {
    const int byte = parse_byte(piece);
    if (byte < 0) return Error(ErrorCode::bad_file);
    bytes.push_back(static_cast<char>(byte));
    return false;
  }
  if (kind != ModelKind::byte_bpe) {
    bytes = unescaped(
        piece);  // where spaces are written as U+2581, a piece with a space of its own has no text
    return may_merge(type, kind) && piece.find(' ') == std::string_view::npos;
  }
  const bool spelled = type != TokenType::user_defined && append_alphabet_bytes(piece, bytes);
  if (!spelled) bytes = piece;
  return spelled && may_merge(type, kind);
}

Result<> Vocabulary::load_bytes(std::string_view file_name, ModelKind kind) {
  seed_ = table_seed(this);
  index_.assign(std::bit_ceil(types_.size() * 2), Slot{});
  fallback_.assign(256, roles_.unknown);
  std::string bytes;
  for (TokenId id = 0; id < size(); ++id) {
    const Result<bool> reachable = spell_out(pieces_[id], type(id), kind, bytes);
    if (!reachable)
      return fail(ErrorCode::bad_file,
                  "{}: token {} is a byte token and reads {}, expected \"<0x00>\" to \"<0xFF>\"",
                  file_name, id, file::quoted(pieces_[id]));
    bytes_.add(bytes);
    if (type(id) == TokenType::byte ||
        (kind == ModelKind::byte_bpe && *reachable && bytes.size() == 1)) {
      TokenId& fallback = fallback_[static_cast<unsigned char>(bytes[0])];
      if (fallback == roles_.unknown) fallback = id;
    }
    if (*reachable && !bytes.empty()) {
      longest_bytes_ = std::max(longest_bytes_, bytes.size());
      Slot& slot = index_[place(bytes)];
      if (slot.id == kNoToken)
        slot = {text_key(bytes, seed_).last, static_cast<std::uint32_t>(bytes.size()), id};
    }
  }
  return {};
}

// Where the token of these bytes is, or the free slot where it would go.
std::size_t Vocabulary::place(std::string_view bytes) const noexcept {
  const TextKey key = text_key(bytes, seed_);
  const std::size_t mask = index_.size() - 1;
  for (std::size_t i = key.hash & mask;; i = (i + 1) & mask) {
    const Slot& slot = index_[i];
    if (slot.id == kNoToken) return i;
    if (slot.last == key.last && slot.size == bytes.size() &&
        (bytes.size() <= TextKey::kWhole || bytes_[slot.id] == bytes))
      return i;
  }
}

TokenId Vocabulary::find(std::string_view bytes) const noexcept {
  return bytes.size() > longest_bytes_ ? kNoToken : index_[place(bytes)].id;
}

std::uint64_t Vocabulary::memory_bytes() const noexcept {
  return pieces_.memory_bytes() + bytes_.memory_bytes() + types_.capacity() * sizeof(types_[0]) +
         ends_text_.capacity() / 8 + index_.capacity() * sizeof(index_[0]) +
         fallback_.capacity() * sizeof(fallback_[0]);
}

}  // namespace tyto::text
