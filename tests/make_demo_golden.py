#!/usr/bin/env python3
"""Makes tests/data/demo.golden: what transformers (float32) thinks of a text with the demo model's weights.

Line 1: the perplexity of all ids after the first. Line 2: the ids, BOS first, from llama.cpp's tokenizer. Line 3: the
log probability of each id after the first. The rest is the text. Needs PyPI's torch, transformers, gguf and
llama-cpp-python.
"""
import pathlib
import sys

import gguf
import numpy as np
import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "benchmarks"))
import peer  # noqa: E402
from make_tiny_models import GATED, neighbors  # noqa: E402

TEXT = """# The Owl and the Lamp

There was once an old owl who lived in the roof of a mill. Every night she looked down into the miller's room, and saw
him sitting at his table with a little lamp before him. "What a strange bird that is," thought the owl. "It has but one
eye, and that eye is of fire; yet it never moves from its place, and never does it catch a mouse."

One evening, when the miller had gone to bed, she flew in at the window and sat down beside the lamp. "Good sister,"
said she, "teach me how you see so well without turning your head." But the lamp said nothing, for the oil was spent,
and the light had gone out.
"""


def main():
    path = HERE.parent / "examples" / "models" / "story.gguf"
    reader = gguf.GGUFReader(path)

    def key(name):
        return reader.fields[f"llama.{name}"].contents()

    heads, kv_heads = key("attention.head_count"), key("attention.head_count_kv")
    config = transformers.LlamaConfig(
        vocab_size=key("vocab_size"), hidden_size=key("embedding_length"), intermediate_size=key("feed_forward_length"),
        num_hidden_layers=key("block_count"), num_attention_heads=heads, num_key_value_heads=kv_heads,
        rms_norm_eps=key("attention.layer_norm_rms_epsilon"), max_position_embeddings=key("context_length"),
        tie_word_embeddings=True, attn_implementation="eager",
        rope_parameters=dict(rope_type="default", rope_theta=key("rope.freq_base")))
    model = transformers.LlamaForCausalLM(config).eval()
    weights = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    state = model.state_dict()
    for name in state:
        stem, kind = name.rsplit(".", 1)
        if stem == "lm_head":
            continue
        if stem in GATED:
            value = weights[f"{GATED[stem]}.{kind}"]
        else:
            layer, part = stem.split(".", 3)[2:]
            value = weights[f"blk.{layer}.{GATED[part]}.{kind}"]
            if part.endswith(("q_proj", "k_proj")):
                value = unneighbored(value, heads if part.endswith("q_proj") else kv_heads)
        state[name].copy_(torch.from_numpy(np.array(value)).reshape(state[name].shape))

    with peer.opened(path, context=256) as llama_cpp:
        ids = [1] + llama_cpp.tokenize(TEXT)
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double()
    chosen = torch.log_softmax(logits, -1)[range(len(ids) - 1), ids[1:]].numpy()
    with open(HERE / "data" / "demo.golden", "w", encoding="utf-8", newline="\n") as file:
        print(f"{np.exp(-chosen.mean()):.6f}", file=file)
        print(*ids, file=file)
        print(*(f"{value:.5f}" for value in chosen), file=file)
        file.write(TEXT)
    print(f"{len(ids)} ids, perplexity {np.exp(-chosen.mean()):.6f}")


def unneighbored(weight, heads):
    """The inverse of neighbors()."""
    rows, width = weight.shape
    plain = weight.reshape(heads, rows // heads // 2, 2, width).swapaxes(1, 2).reshape(rows, width)
    assert (neighbors(plain, heads) == weight).all()
    return plain


if __name__ == "__main__":
    main()
