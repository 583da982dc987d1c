// What a well-formed GGUF file can say of its model that cannot be. Each case changes one thing of
// a valid model.
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "tests/bad_file.h"
#include "tests/catch.h"
#include "tests/faulty_source.h"
#include "tests/mutants.h"
#include "tyto/model.h"

using namespace tyto;
using namespace tyto::test;

namespace {

constexpr auto kBad = ErrorCode::bad_file;
constexpr auto kUnsupported = ErrorCode::unsupported;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN(),
                kInfinite = std::numeric_limits<float>::infinity();

const std::shared_ptr<Runtime>& one_thread() {
  static const auto runtime = [] {
    RuntimeOptions options;
    options.threads = 1;
    return Runtime::create(options).value();
  }();
  return runtime;
}

ModelOptions small_options() {
  ModelOptions options;
  options.device = "reference";
  options.cache_tokens = 64;
  options.limits = {.rows = 16, .sequences = 2};
  options.runtime = one_thread();
  return options;
}

Result<Model> load(std::span<const std::byte> bytes,
                   const ModelOptions& options = small_options()) {
  auto source = memory_source(bytes);
  if (!source) return source.error();
  return Model::load(*std::move(source), options);
}

// Refused by load and by plan alike.
void check_all(const std::vector<BadFile>& cases) {
  one_thread();
  for (const BadFile& bad : cases) {
    DYNAMIC_SECTION(bad.tries) {
      check_refused(bad, "memory", [](std::span<const std::byte> bytes) { return load(bytes); });
      check_refused(bad, "memory", [](std::span<const std::byte> bytes) -> Result<MemoryPlan> {
        return Model::plan(memory_source(bytes).value(), small_options());
      });
    }
  }
}

template <class T>
BadFile with_key(std::string tries, std::string_view place, std::string key, T value,
                 ErrorCode code = kBad) {
  return {std::move(tries), code, place, edit([=](GgufWriter& file) { file.set(key, value); })};
}

// Gives a tensor another shape, and as much data as that needs.
BadFile with_shape(std::string tries, std::string name, std::vector<std::uint64_t> shape) {
  const auto change = [=](GgufWriter& file) {
    GgufTensor& tensor = file.tensor(name);
    std::uint64_t old_values = 1, values = 1;
    for (const std::uint64_t extent : tensor.shape) old_values *= extent;
    for (const std::uint64_t extent : shape) values *= extent;
    tensor.shape = shape;
    tensor.data.resize(tensor.data.size() * values / old_values);
  };
  return {std::move(tries), kBad, "token_embd.weight" == name ? "token_embd" : "attn_q",
          edit(change)};
}

// The same model with a byte-level vocabulary: the printable bytes, and the merges of one word.
GgufWriter with_merges(std::vector<std::string> merges) {
  GgufWriter file = tiny_llama();
  std::vector<std::string> tokens{"<|endoftext|>"};
  for (char c = '!'; c <= '~'; ++c) tokens.push_back(std::string(1, c));
  for (const char* merged : {"he", "ll", "hell", "hello"}) tokens.push_back(merged);
  while (tokens.size() < 300) tokens.push_back(fmt::format("[{}]", tokens.size()));
  file.set("tokenizer.ggml.model", "gpt2");
  file.set("tokenizer.ggml.pre", "gpt-2");
  file.set("tokenizer.ggml.tokens", tokens);
  file.set("tokenizer.ggml.merges", merges);
  file.remove_key("tokenizer.ggml.scores");
  file.remove_key("tokenizer.ggml.token_type");
  file.remove_key("tokenizer.ggml.unknown_token_id");
  return file;
}

BadFile bad_merges(std::string tries, std::vector<std::string> merges) {
  return {std::move(tries), kBad, "merge", [=] { return with_merges(merges).file(); }};
}

BadFile byte_token(std::string piece) {
  return {"a byte token " + piece, kBad, "byte token", edit([=](GgufWriter& file) {
            std::vector<std::string> tokens = tiny_tokens(300);
            tokens[7] = piece;
            file.set("tokenizer.ggml.tokens", tokens);
          })};
}

}  // namespace

TEST_CASE("The model that all bad ones are made of is good", "[model][bad]") {
  const Bytes bytes = tiny_llama().file();
  if (const auto model = load(bytes); !model) FAIL(std::string(model.error().message()));
  const Bytes wide = tiny_llama({.width = 256, .ff = 256, .weight_type = kQ6_K}).file();
  if (const auto model = load(wide); !model) FAIL(std::string(model.error().message()));
  const Bytes byte_level = with_merges({"h e", "l l", "he ll", "hell o"}).file();
  if (const auto model = load(byte_level); !model) FAIL(std::string(model.error().message()));
}

TEST_CASE("Architectures that are not known are named", "[model][bad]") {
  check_all({
      with_key("no known family", "'owl'", "general.architecture", "owl", kUnsupported),
      with_key("an architecture that is a number", "general.architecture", "general.architecture",
               7u),
      {"no architecture", kBad, "general.architecture",
       edit([](GgufWriter& file) { file.remove_key("general.architecture"); })},
  });
}

TEST_CASE("Hyperparameters that cannot be are refused", "[model][bad]") {
  const auto u32 = [](std::string key, std::uint32_t value, std::string_view place) {
    return with_key(fmt::format("{} {}", key, value), place, "llama." + key, value);
  };
  check_all({
      u32("block_count", 0, "block_count"),
      u32("block_count", 3, "blk.2."),
      u32("block_count", 513, "blk.2."),
      u32("block_count", 0xFFFFFFFF, "block_count"),
      u32("embedding_length", 0, "embedding_length"),
      u32("embedding_length", 0xFFFFFFFF, "embedding_length"),
      u32("feed_forward_length", 0, "feed_forward_length"),
      u32("context_length", 0, "context_length"),
      u32("attention.head_count", 0, "head_count"),
      u32("attention.head_count", 5, "heads"),
      u32("attention.head_count_kv", 0, "head_count_kv"),
      u32("attention.head_count_kv", 3, "heads"),
      u32("attention.head_count_kv", 8, "head_count_kv"),
      u32("rope.dimension_count", 7, "rope.dimension_count"),
      u32("rope.dimension_count", 18, "rope.dimension_count"),
      {"more experts used than there are", kBad, "expert_used_count", edit([](GgufWriter& file) {
         file.set("llama.expert_count", 4u);
         file.set("llama.expert_used_count", 8u);
       })},
      with_key("a width of type string", "embedding_length", "llama.embedding_length", "64"),
      with_key("a negative width", "embedding_length", "llama.embedding_length", std::int32_t{-64}),
      {"no width", kBad, "embedding_length",
       edit([](GgufWriter& file) { file.remove_key("llama.embedding_length"); })},
  });
}

TEST_CASE("Real-valued hyperparameters out of range are refused", "[model][bad]") {
  std::vector<BadFile> cases;
  for (const float value : {kNan, -1.0f, kInfinite})
    cases.push_back(with_key(fmt::format("epsilon {}", value), "layer_norm_rms_epsilon",
                             "llama.attention.layer_norm_rms_epsilon", value));
  for (const float value : {0.0f, -1.0f, kNan, kInfinite})
    cases.push_back(with_key(fmt::format("rope base {}", value), "rope.freq_base",
                             "llama.rope.freq_base", value));
  for (const float value : {0.0f, -1.0f, kNan})
    cases.push_back({fmt::format("rope factor {}", value), kBad, "rope.scaling.factor",
                     edit([=](GgufWriter& file) {
                       file.set("llama.rope.scaling.type", "linear");
                       file.set("llama.rope.scaling.factor", value);
                     })});
  check_all(cases);
}

TEST_CASE("Shapes other than the hyperparameters ask for are refused", "[model][bad]") {
  check_all({
      with_shape("a query projection of 65 rows", "blk.0.attn_q.weight", {65, 64}),
      with_shape("a query projection twice as wide", "blk.0.attn_q.weight", {64, 128}),
      with_shape("a query projection of one dimension", "blk.0.attn_q.weight", {4096}),
      with_shape("a query projection of three dimensions", "blk.0.attn_q.weight", {1, 64, 64}),
      with_shape("a token table of a row less than the vocabulary", "token_embd.weight", {299, 64}),
      with_shape("a token table of a row more than the vocabulary", "token_embd.weight", {301, 64}),
      with_shape("a token table without rows", "token_embd.weight", {0, 64}),
      {"no query projection", kBad, "blk.1.attn_q.weight", edit([](GgufWriter& file) {
         file.tensor("blk.1.attn_q.weight").name = "blk.1.attn_p.weight";
       })},
      {"no token table", kBad, "token_embd.weight",
       edit([](GgufWriter& file) { file.tensor("token_embd.weight").name = std::string("x"); })},
  });
}

TEST_CASE("Mixtures of experts that cannot be, or are not supported, are refused", "[model][bad]") {
  const TinyLlama mixture{.experts = 4, .active = 2};
  if (const auto model = load(tiny_llama(mixture).file()); !model)
    FAIL(std::string(model.error().message()));
  const auto key = [&](std::string name, std::uint32_t value, ErrorCode code) -> BadFile {
    return {fmt::format("{} {}", name, value), code, "expert_",
            edit([=](GgufWriter& file) { file.set("llama." + name, value); }, mixture)};
  };
  const auto shape = [&](std::string name, std::vector<std::uint64_t> extents) -> BadFile {
    return {fmt::format("{} of shape [{}]", name, fmt::join(extents, ", ")), kBad, "blk.1.ffn_",
            edit(
                [=](GgufWriter& file) {
                  GgufTensor& tensor = file.tensor("blk.1." + name);
                  tensor.shape = extents;
                  tensor.data.resize(1 << 20);
                },
                mixture)};
  };
  const auto other_family = [&](std::string family) -> BadFile {
    return {"experts of " + family, kUnsupported, "expert_count", edit([=](GgufWriter& file) {
              for (GgufKey& k : file.keys)
                if (k.key.starts_with("llama.")) k.key = family + k.key.substr(5);
              file.set("general.architecture", family);
              file.set(family + ".expert_count", 4u);
              file.set(family + ".expert_used_count", 2u);
            })};
  };
  check_all({
      key("expert_used_count", 0, kBad),
      key("expert_used_count", 5, kBad),
      key("expert_count", 0xFFFFFFFF, kBad),
      key("expert_feed_forward_length", 0, kBad),
      key("expert_gating_func", 2, kUnsupported),
      key("expert_shared_count", 1, kUnsupported),
      key("expert_group_count", 2, kUnsupported),
      key("expert_shared_feed_forward_length", 64, kUnsupported),
      key("expert_weights_scale", 2, kUnsupported),
      {"weights that do not sum to one", kUnsupported, "expert_weights_norm",
       edit([](GgufWriter& file) { file.set("llama.expert_weights_norm", false); }, mixture)},
      {"experts with biases", kUnsupported, "blk.0.ffn_up_exps.bias",
       edit(
           [](GgufWriter& file) {
             file.add_tensor("blk.0.ffn_up_exps.bias", {4, 128}, kF32, ones(4 * 128));
           },
           mixture)},
      shape("ffn_gate_inp.weight", {5, 64}),
      shape("ffn_up_exps.weight", {4, 64, 128}),
      shape("ffn_gate_exps.weight", {3, 128, 64}),
      shape("ffn_down_exps.weight", {512, 64}),
      {"no experts' tensors", kBad, "blk.0.ffn_gate_inp.weight", edit([](GgufWriter& file) {
         file.set("llama.expert_count", 4u);
         file.set("llama.expert_used_count", 2u);
       })},
      other_family("qwen2"),
      other_family("qwen3"),
  });
}

TEST_CASE("Tensor types that this build lacks are unsupported, where they are needed",
          "[model][bad]") {
  const auto type = [](std::uint32_t number, std::string_view place) -> BadFile {
    return {fmt::format("a projection of type {}", number), kUnsupported, place,
            edit([=](GgufWriter& file) {
              GgufTensor& tensor = file.tensor("blk.0.attn_q.weight");
              tensor.type = number;
              tensor.data.resize(64 * 64 * 4);
            })};
  };
  check_all({type(4, "type 4"), type(31, "type 31"), type(0x80000000, "type 2147483648"),
             type(20, "iq4_nl")});
}

TEST_CASE("Vocabularies that contradict themselves are refused", "[model][bad]") {
  using U8s = std::vector<std::uint8_t>;
  check_all({
      with_key("scores of type u8", "tokenizer.ggml.scores", "tokenizer.ggml.scores", U8s(300)),
      with_key("token types of type u8", "tokenizer.ggml.token_type", "tokenizer.ggml.token_type",
               U8s(300)),
      with_key("a score too few", "tokenizer.ggml.scores", "tokenizer.ggml.scores",
               std::vector<float>(299)),
      with_key("a score too many", "tokenizer.ggml.scores", "tokenizer.ggml.scores",
               std::vector<float>(301)),
      with_key("a score that is no number", "tokenizer.ggml.scores", "tokenizer.ggml.scores",
               std::vector<float>(300, kNan)),
      with_key("token types too few", "tokenizer.ggml.token_type", "tokenizer.ggml.token_type",
               std::vector<std::int32_t>(299)),
      with_key("token types of 2^31 - 1", "tokenizer.ggml.token_type", "tokenizer.ggml.token_type",
               std::vector<std::int32_t>(300, 0x7FFFFFFF)),
      with_key("tokens that are numbers", "tokenizer.ggml.tokens", "tokenizer.ggml.tokens",
               std::vector<float>(300)),
      with_key("no tokens", "token", "tokenizer.ggml.tokens", std::vector<std::string>()),
      with_key("a begin token past the end", "bos_token_id", "tokenizer.ggml.bos_token_id", 300u),
      with_key("an end token of 2^32 - 1", "eos_token_id", "tokenizer.ggml.eos_token_id",
               0xFFFFFFFFu),
      with_key("an unknown vocabulary", "owl", "tokenizer.ggml.model", "owl", kUnsupported),
      byte_token("<0x-1>"),
      byte_token("<0xZZ>"),
      byte_token("<0x+1>"),
      byte_token("<0x1>"),
      byte_token(""),
      bad_merges("a merge of an unknown token", {"h e", "x\u00e9 y"}),
      bad_merges("a merge into an unknown token", {"h e", "h l"}),
      bad_merges("a merge without a space", {"h e", "ll"}),
      bad_merges("a merge of nothing", {"h e", " "}),
  });
}

TEST_CASE("Of tokens that read the same, the first one counts", "[model]") {
  std::vector<std::string> tokens = tiny_tokens(300);
  for (const int twin : {265, 270, 299})
    tokens[twin] = std::string("a");  // it is token 260 as well
  GgufWriter file = tiny_llama();
  file.set("tokenizer.ggml.tokens", tokens);
  const Bytes bytes = file.file();
  const auto model = load(bytes);
  if (!model) FAIL(std::string(model.error().message()));
  const auto ids = model->tokenizer().encode("qa").value();
  CHECK(std::find(ids.begin(), ids.end(), 260) != ids.end());
}
