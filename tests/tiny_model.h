// Loads the small random Llama of tiny_llama.h, in F32 and without an end token, so that a
// generation ends only where a test ends it.
#pragma once
#include "tests/isa_under_test.h"
#include "tests/tiny_llama.h"
#include "tyto/tyto.h"

namespace tyto::test {

inline constexpr TinyLlama kTinyF32{.context = 128, .weight_type = kF32, .table_type = kF32};

inline Bytes tiny_file(const TinyLlama& shape = kTinyF32) {
  GgufWriter file = tiny_llama(shape);
  file.remove_key("tokenizer.ggml.eos_token_id");
  auto tokens = tiny_tokens(shape.vocab);
  tokens[2] = "<control>";  // instead of "</s>", whose name alone makes it an end
  file.set("tokenizer.ggml.tokens", tokens);
  return file.file();
}

inline Result<Model> load_tiny(const ModelOptions& options, const TinyLlama& shape = kTinyF32) {
  return Model::load(as_source(tiny_file(shape)), options);
}

}  // namespace tyto::test
