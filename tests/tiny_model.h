// Loads the small random Llama of tiny_llama.h, in F32 and without an end token, so that a
// generation ends only where a test ends it.
#pragma once
#include <cstdlib>
#include <string_view>

#include "tests/tiny_llama.h"
#include "tyto/tyto.h"

namespace tyto::test {

// The ISA that this run of the suite is for.
inline Isa isa_under_test() {
  const char* name = std::getenv("TYTO_FORCE_ISA");
  const std::string_view isa = name ? name : "";
  if (isa == "scalar") return Isa::scalar;
  if (isa == "avx2") return Isa::avx2;
  if (isa == "avx512") return Isa::avx512;
  return Isa::best;
}

inline constexpr TinyLlama kTinyF32{.context = 128, .weight_type = kF32, .table_type = kF32};

inline Bytes tiny_file(const TinyLlama& shape = kTinyF32) {
  GgufWriter file = tiny_llama(shape);
  file.remove_key("tokenizer.ggml.eos_token_id");
  return file.file();
}

inline Result<Model> load_tiny(const ModelOptions& options, const TinyLlama& shape = kTinyF32) {
  return Model::load(as_source(tiny_file(shape)), options);
}

}  // namespace tyto::test
