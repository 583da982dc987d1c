// A whole model file of a few hundred KiB: two layers of random weights and a vocabulary of 300, in
// F32, Q8_0 and Q4_0 (or Q6_K). Valid as it is; tests change it.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/gguf_writer.h"

namespace tyto::test {

struct TinyLlama {
  std::uint32_t vocab = 300, width = 64, layers = 2, ff = 128, heads = 4, kv_heads = 2,
                context = 64;
  std::uint32_t weight_type = kQ4_0;  // of the projections
  std::uint32_t table_type = kQ8_0;   // of the token table
  std::uint32_t seed = 1;
  std::uint32_t experts = 0, active = 0;  // 0: MLPs
};

// Random values of a standard deviation around 0.1, in any of the types of gguf_writer.h.
inline Bytes random_weights(std::uint32_t type, std::uint64_t values, std::mt19937& random) {
  Bytes bytes;
  const auto codes = [&](int count) {
    for (int i = 0; i < count; ++i) put(bytes, static_cast<std::uint8_t>(random()));
  };
  const auto scale = [&](std::uint16_t half) { put(bytes, half); };  // IEEE half precision
  for (std::uint64_t done = 0; done < values;) {
    switch (type) {
      case kF32:
        put(bytes, (static_cast<float>(random() % 2001) - 1000) * 0.00017f);
        done += 1;
        break;
      case kF16:
        put(bytes, static_cast<std::uint16_t>(0x2C00 | (random() & 0x83FF)));  // +-[1/16, 1/8)
        done += 1;
        break;
      case kQ4_0:
        scale(0x251F), codes(16);  // 0.02
        done += 32;
        break;
      case kQ8_0:
        scale(0x1419), codes(32);  // 0.001
        done += 32;
        break;
      case kQ6_K:
        codes(128 + 64 + 16), scale(0x068E);  // 0.0001, times 8-bit scales
        done += 256;
        break;
      default:
        return bytes;
    }
  }
  return bytes;
}

inline Bytes ones(std::uint64_t count) {
  Bytes bytes;
  for (std::uint64_t i = 0; i < count; ++i) put(bytes, 1.0f);
  return bytes;
}

// A SentencePiece vocabulary: <unk>, <s>, </s>, the 256 bytes, then letters and a few merges.
inline std::vector<std::string> tiny_tokens(std::uint32_t count) {
  std::vector<std::string> tokens{"<unk>", "<s>", "</s>"};
  for (int i = 0; i < 256; ++i) tokens.push_back(fmt::format("<0x{:02X}>", i));
  tokens.push_back("\u2581");
  for (char c = 'a'; c <= 'z'; ++c) tokens.push_back(std::string(1, c));
  for (const char* merge : {"th", "he", "in", "er", "an", "re", "on", "at", "\u2581t", "\u2581th",
                            "the", "\u2581the", "\u2581a", "ed"})
    tokens.push_back(merge);
  while (tokens.size() < count) tokens.push_back(fmt::format("[{}]", tokens.size()));
  tokens.resize(count);
  return tokens;
}

inline void add_tiny_tokenizer(GgufWriter& file, std::uint32_t vocab) {
  constexpr std::int32_t kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6;
  std::vector<float> scores(vocab, 0.0f);
  std::vector<std::int32_t> types(vocab, kNormal);
  for (std::uint32_t i = 0; i < vocab; ++i) {
    if (i < 3)
      types[i] = i == 0 ? kUnknown : kControl;
    else if (i < 259)
      types[i] = kByte;
    else
      scores[i] = -static_cast<float>(i - 258);
  }
  file.set("tokenizer.ggml.model", "llama");
  file.set("tokenizer.ggml.tokens", tiny_tokens(vocab));
  file.set("tokenizer.ggml.scores", scores);
  file.set("tokenizer.ggml.token_type", types);
  file.set("tokenizer.ggml.bos_token_id", std::uint32_t{1});
  file.set("tokenizer.ggml.eos_token_id", std::uint32_t{2});
  file.set("tokenizer.ggml.unknown_token_id", std::uint32_t{0});
  file.set("tokenizer.ggml.add_bos_token", true);
}

inline GgufWriter tiny_llama(const TinyLlama& t = {}) {
  GgufWriter file;
  const std::uint32_t head_dim = t.width / t.heads;
  file.set("general.architecture", "llama");
  file.set("general.name", "tiny");
  file.set("llama.context_length", t.context);
  file.set("llama.embedding_length", t.width);
  file.set("llama.block_count", t.layers);
  file.set("llama.feed_forward_length", t.ff);
  file.set("llama.attention.head_count", t.heads);
  file.set("llama.attention.head_count_kv", t.kv_heads);
  file.set("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  file.set("llama.rope.dimension_count", head_dim);
  file.set("llama.rope.freq_base", 10000.0f);
  if (t.experts > 0) {
    file.set("llama.expert_count", t.experts);
    file.set("llama.expert_used_count", t.active);
  }
  add_tiny_tokenizer(file, t.vocab);

  std::mt19937 random(t.seed);
  const auto add = [&](const std::string& name, std::uint64_t out, std::uint64_t in,
                       std::uint32_t type) {
    file.add_tensor(name, {out, in}, type, random_weights(type, out * in, random));
  };
  const auto norm = [&](const std::string& name) {
    file.add_tensor(name, {t.width}, kF32, ones(t.width));
  };
  add("token_embd.weight", t.vocab, t.width, t.table_type);
  for (std::uint32_t i = 0; i < t.layers; ++i) {
    const std::string layer = fmt::format("blk.{}.", i);
    norm(layer + "attn_norm.weight");
    add(layer + "attn_q.weight", t.width, t.width, t.weight_type);
    add(layer + "attn_k.weight", t.kv_heads * head_dim, t.width, t.weight_type);
    add(layer + "attn_v.weight", t.kv_heads * head_dim, t.width, t.weight_type);
    add(layer + "attn_output.weight", t.width, t.width, t.weight_type);
    norm(layer + "ffn_norm.weight");
    if (t.experts > 0) add(layer + "ffn_gate_inp.weight", t.experts, t.width, kF32);
    const auto add_mlp = [&](const std::string& name, std::uint64_t out, std::uint64_t in) {
      if (t.experts == 0) return add(layer + name + ".weight", out, in, t.weight_type);
      file.add_tensor(layer + name + "_exps.weight", {t.experts, out, in}, t.weight_type,
                      random_weights(t.weight_type, t.experts * out * in, random));
    };
    add_mlp("ffn_gate", t.ff, t.width);
    add_mlp("ffn_up", t.ff, t.width);
    add_mlp("ffn_down", t.width, t.ff);
  }
  norm("output_norm.weight");
  add("output.weight", t.vocab, t.width, kF32);
  return file;
}

}  // namespace tyto::test
