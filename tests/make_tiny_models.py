#!/usr/bin/env python3
"""Makes tests/data/models: tiny random models of each family, with the logits that transformers gives for them.

Every model is built by Hugging Face transformers (float32, eager attention), filled with random weights, and written
as GGUF in the field's conventions: llama's q and k rows are permuted for neighboring rotary pairs, Llama 3's scaling
is a rope_freqs tensor, GPT-2's convolutions are transposed. NAME.golden holds little-endian int32 counts (prompt ids,
steps, vocabulary), the int32 ids of both, and float32 logits [prompt + steps, vocabulary]: the prompt computed at
once, then single steps with transformers' cache.

  make_tiny_models.py [OUT_DIR] [--check]     --check also runs llama.cpp (llama-cpp-python) on each file

Needs PyPI's torch, transformers, numpy and gguf. The same versions give the same files.
"""
import argparse
import pathlib

import gguf
import numpy as np
import torch
import transformers

PROMPT, STEPS, CONTEXT = 27, 8, 64
LETTERS = "etaoinshrdlu"


def spm_vocab(writer):
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    words = ["\u2581", *LETTERS, "\u2581t", "he", "\u2581the", "in", "\u2581a"]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * len(words)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(pieces + words)
    writer.add_token_scores([0.0] * len(pieces) + [-float(i) for i in range(len(words))])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    return len(pieces) + len(words)


def bpe_vocab(pre):
    def write(writer):
        # GPT-2's alphabet: printable bytes stand for themselves, the others for characters from U+0100 on.
        printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
        others = [byte for byte in range(256) if byte not in printable]
        alphabet = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
        merges = ["h e", "i n", "\u0120 t", "\u0120t he", "\u0120 a", "r e"]
        tokens = alphabet + [merge.replace(" ", "") for merge in merges] + ["<|begin|>", "<|end|>"]
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre)
        writer.add_token_list(tokens)
        writer.add_token_types([gguf.TokenType.NORMAL] * (len(tokens) - 2) + [gguf.TokenType.CONTROL] * 2)
        writer.add_token_merges(merges)
        writer.add_bos_token_id(len(tokens) - 2)
        writer.add_eos_token_id(len(tokens) - 1)
        return len(tokens)

    return write


def common_keys(writer, config):
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def rms_keys(writer, config):
    common_keys(writer, config)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)


def llama_keys(writer, config):
    rms_keys(writer, config)
    writer.add_rope_dimension_count(config.head_dim)


def qwen3_keys(writer, config):
    rms_keys(writer, config)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)


def mixtral_keys(writer, config):
    rms_keys(writer, config)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_expert_count(config.num_local_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)


def qwen3moe_keys(writer, config):
    qwen3_keys(writer, config)
    writer.add_expert_count(config.num_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_expert_feed_forward_length(config.moe_intermediate_size)


def gpt2_keys(writer, config):
    common_keys(writer, config)
    writer.add_feed_forward_length(4 * config.hidden_size)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)


GATED = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp.gate": "ffn_gate_inp",
    "mlp.experts.down_proj": "ffn_down_exps",
}
GPT2 = {
    "transformer.wte": "token_embd",
    "transformer.wpe": "position_embd",
    "transformer.ln_f": "output_norm",
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


def gguf_name(name, names):
    """model.layers.3.mlp.up_proj.weight -> blk.3.ffn_up.weight"""
    stem, kind = name.rsplit(".", 1)
    if stem in names:
        return f"{names[stem]}.{kind}"
    layer, part = stem.split(".", 3)[2:]
    return f"blk.{layer}.{names[part]}.{kind}"


def neighbors(weight, heads):
    """Rows (i, i + half) of each head become neighbors (2i, 2i + 1)."""
    rows, width = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def tensors(model, family, names):
    config = model.config
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        value = value.numpy()
        if family == "llama" and name.endswith("q_proj.weight"):
            value = neighbors(value, config.num_attention_heads)
        if family == "llama" and name.endswith("k_proj.weight"):
            value = neighbors(value, config.num_key_value_heads)
        if family == "gpt2" and ".c_" in name and value.ndim == 2:
            value = value.T
        if name.endswith("experts.gate_up_proj"):  # [experts, gate and up, width]
            layer = name.split(".")[2]
            for part, half in zip(("gate", "up"), np.split(value, 2, axis=1)):
                yield f"blk.{layer}.ffn_{part}_exps.weight", np.ascontiguousarray(half)
            continue
        if name.endswith("experts.down_proj"):
            name += ".weight"
        yield gguf_name(name, names), np.ascontiguousarray(value)
    if getattr(config, "rope_parameters", None) and config.rope_parameters["rope_type"] == "llama3":
        plain = config.rope_parameters["rope_theta"] ** -(np.arange(0, config.head_dim, 2) / config.head_dim)
        scaled = model.model.rotary_emb.inv_freq.numpy()
        yield "rope_freqs.weight", (plain / scaled).astype(np.float32)


SMALL = dict(num_hidden_layers=2, max_position_embeddings=CONTEXT, attn_implementation="eager")
MODELS = {
    "llama": ("llama", spm_vocab, llama_keys, GATED, lambda vocab: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=vocab, hidden_size=48, intermediate_size=88, num_attention_heads=4, num_key_value_heads=2,
            head_dim=12, tie_word_embeddings=False, **SMALL))),
    "llama3": ("llama", bpe_vocab("llama-bpe"), llama_keys, GATED, lambda vocab: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=vocab, hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=1,
            head_dim=16, tie_word_embeddings=True, rms_norm_eps=1e-5,
            rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
                                 high_freq_factor=4.0, original_max_position_embeddings=32), **SMALL))),
    "qwen2": ("qwen2", bpe_vocab("qwen2"), rms_keys, GATED, lambda vocab: transformers.Qwen2ForCausalLM(
        transformers.Qwen2Config(
            vocab_size=vocab, hidden_size=56, intermediate_size=80, num_attention_heads=7, num_key_value_heads=1,
            tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=1e6), **SMALL))),
    "qwen3": ("qwen3", bpe_vocab("qwen2"), qwen3_keys, GATED, lambda vocab: transformers.Qwen3ForCausalLM(
        transformers.Qwen3Config(
            vocab_size=vocab, hidden_size=40, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2,
            head_dim=16, tie_word_embeddings=False, rope_parameters=dict(rope_type="default", rope_theta=1e6),
            **SMALL))),
    "gpt2": ("gpt2", bpe_vocab("gpt-2"), gpt2_keys, GPT2, lambda vocab: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=vocab, n_embd=40, n_layer=2, n_head=4, n_positions=CONTEXT, attn_implementation="eager",
            bos_token_id=vocab - 2, eos_token_id=vocab - 1))),
    "mixtral": ("llama", spm_vocab, mixtral_keys, GATED, lambda vocab: transformers.MixtralForCausalLM(
        transformers.MixtralConfig(
            vocab_size=vocab, hidden_size=40, intermediate_size=56, num_attention_heads=4, num_key_value_heads=2,
            num_local_experts=6, num_experts_per_tok=2, tie_word_embeddings=False,
            rope_parameters=dict(rope_type="default", rope_theta=1e6), **SMALL))),
    "qwen3moe": ("qwen3moe", bpe_vocab("qwen2"), qwen3moe_keys, GATED, lambda vocab: transformers.Qwen3MoeForCausalLM(
        transformers.Qwen3MoeConfig(
            vocab_size=vocab, hidden_size=40, intermediate_size=96, moe_intermediate_size=24, num_attention_heads=4,
            num_key_value_heads=2, head_dim=16, num_experts=10, num_experts_per_tok=3, norm_topk_prob=True,
            tie_word_embeddings=False, rope_parameters=dict(rope_type="default", rope_theta=1e6), **SMALL))),
}


def fill(model, seed):
    """Weights at which every part matters: attention is peaked, norms and biases are no identity."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.named_parameters():
        noise = torch.randn(value.shape, generator=generator)
        if value.ndim == 1:
            value.data = 0.3 * noise + (0.0 if name.endswith("bias") else 1.0)
        elif "embed" in name or "wte" in name or "wpe" in name:
            value.data = 0.7 * noise
        else:
            value.data = 1.5 * noise / model.config.hidden_size**0.5


@torch.no_grad()
def golden(model, seed):
    ids = torch.randint(model.config.vocab_size, (PROMPT + STEPS,), generator=torch.Generator().manual_seed(seed))
    out = model(ids[None, :PROMPT], use_cache=True)
    rows = [out.logits[0]]
    for i in range(PROMPT, PROMPT + STEPS):
        out = model(ids[None, i : i + 1], past_key_values=out.past_key_values, use_cache=True)
        rows.append(out.logits[0])
    return ids.numpy().astype(np.int32), torch.cat(rows).numpy().astype(np.float32)


def make(name, out_dir, seed):
    family, vocab, keys, names, build = MODELS[name]
    path = out_dir / f"{name}.gguf"
    writer = gguf.GGUFWriter(str(path), family)
    writer.add_name(f"tiny random {name}")
    model = build(vocab(writer)).eval()
    fill(model, seed)
    keys(writer, model.config)
    for tensor_name, value in tensors(model, family, names):
        writer.add_tensor(tensor_name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    ids, logits = golden(model, seed)
    with open(out_dir / f"{name}.golden", "wb") as file:
        file.write(np.array([PROMPT, STEPS, logits.shape[1]], dtype="<i4").tobytes())
        file.write(ids.astype("<i4").tobytes() + logits.astype("<f4").tobytes())
    return path, ids, logits


def check(path, ids, logits):
    import sys

    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "benchmarks"))
    import peer

    with peer.opened(path, context=CONTEXT, flash="off", cache="F32") as model:
        whole = model.logits(ids[:PROMPT])
        steps = []
        for i in range(PROMPT, len(ids)):
            model.decode(ids[i : i + 1], i)
            steps.append(model.logits_at(0))
    return np.abs(np.concatenate([whole, steps]) - logits).max()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = pathlib.Path(__file__).resolve().parent / "data" / "models"
    parser.add_argument("out", type=pathlib.Path, nargs="?", default=default)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for seed, name in enumerate(MODELS, 1):
        path, ids, logits = make(name, args.out, seed)
        line = f"{path.name}: {path.stat().st_size} bytes, logits within {np.abs(logits).max():.1f}"
        if args.check:
            line += f", llama.cpp differs by {check(path, ids, logits):.1e}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
