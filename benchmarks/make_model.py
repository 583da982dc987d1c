#!/usr/bin/env python3
"""Writes GGUF model files with random weights at the shapes of real models, for measuring speed.

  make_model.py OUT_DIR --shape tinyllama-1.1b --types Q4_0 Q8_0 Q4_K_M F16 [--vocab llama-spm.gguf]

F16 is written here; every other type is made from it by llama.cpp's own quantizer, so that each tensor gets the
format it has in the files people download (Q4_K_M mixes Q4_K and Q6_K). Needs PyPI's numpy, gguf and llama-cpp-python.
"""
import argparse
import itertools
import math
import pathlib
import string
from dataclasses import dataclass

import gguf
import numpy as np


@dataclass(frozen=True)
class Shape:
    layers: int
    width: int
    heads: int
    kv_heads: int
    ff: int
    vocab: int = 32000
    context: int = 4096
    experts: int = 0  # of which each token uses `active`; 0: MLPs
    active: int = 0

    @property
    def head_dim(self):
        return self.width // self.heads


SHAPES = {
    "tinyllama-1.1b": Shape(layers=22, width=2048, heads=32, kv_heads=4, ff=5632),
    "llama-2-7b": Shape(layers=32, width=4096, heads=32, kv_heads=32, ff=11008),
    "experts-1.4b": Shape(layers=2, width=2048, heads=32, kv_heads=4, ff=768, experts=128, active=8),
    "small": Shape(layers=2, width=512, heads=8, kv_heads=2, ff=1536),
}


def tensors(shape):
    """(name, shape, standard deviation); one dimension marks a norm. Sizes keep activations near one at any depth."""
    s = shape
    kv = s.kv_heads * s.head_dim
    into, out_of = s.width**-0.5, (2 * s.layers * s.width) ** -0.5
    yield "token_embd.weight", (s.vocab, s.width), 1.0
    for i in range(s.layers):
        yield f"blk.{i}.attn_norm.weight", (s.width,), 0.1
        yield f"blk.{i}.attn_q.weight", (s.width, s.width), into
        yield f"blk.{i}.attn_k.weight", (kv, s.width), into
        yield f"blk.{i}.attn_v.weight", (kv, s.width), into
        yield f"blk.{i}.attn_output.weight", (s.width, s.width), out_of
        yield f"blk.{i}.ffn_norm.weight", (s.width,), 0.1
        suffix, count = ("_exps", (s.experts,)) if s.experts else ("", ())
        if s.experts:
            yield f"blk.{i}.ffn_gate_inp.weight", (s.experts, s.width), into
        yield f"blk.{i}.ffn_gate{suffix}.weight", (*count, s.ff, s.width), into
        yield f"blk.{i}.ffn_up{suffix}.weight", (*count, s.ff, s.width), into
        yield f"blk.{i}.ffn_down{suffix}.weight", (*count, s.width, s.ff), (2 * s.layers * s.ff) ** -0.5
    yield "output_norm.weight", (s.width,), 0.1
    yield "output.weight", (s.vocab, s.width), 2 * into


def is_float(name, shape):
    """Norms, and what chooses experts."""
    return len(shape) == 1 or "gate_inp" in name


def copy_vocabulary(writer, path):
    for key, field in gguf.GGUFReader(path).fields.items():
        if key.startswith("tokenizer."):
            kind = field.types[0]
            sub_type = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), kind, sub_type=sub_type)


def made_up_pieces():
    """ASCII, then all words of two letters, three letters and so on, with and without a space before them."""
    yield from ("\u2581", *map(chr, range(0x21, 0x7F)))
    for length in itertools.count(2):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            yield "".join(letters)
            yield "\u2581" + "".join(letters)


def make_vocabulary(writer, size):
    """As many tokens as a real one, of the same kind (SentencePiece), but of no language."""
    control = ["<unk>", "<s>", "</s>"]
    byte = [f"<0x{value:02X}>" for value in range(256)]
    pieces = list(itertools.islice(made_up_pieces(), size - len(control) - len(byte)))
    kinds = gguf.TokenType
    writer.add_tokenizer_model("llama")
    writer.add_token_list(control + byte + pieces)
    writer.add_token_scores([0.0] * (len(control) + len(byte)) + [-float(i) for i in range(len(pieces))])
    writer.add_token_types([kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *[kinds.BYTE] * len(byte),
                            *[kinds.NORMAL] * len(pieces)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)


def write_f16(path, shape, vocab_path, seed):
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name(path.stem)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ff)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape.vocab)
    if shape.experts:
        writer.add_expert_count(shape.experts)
        writer.add_expert_used_count(shape.active)
    if vocab_path:
        copy_vocabulary(writer, vocab_path)
    else:
        make_vocabulary(writer, shape.vocab)
    listed = list(tensors(shape))
    for name, dims, _ in listed:
        kind = np.dtype(np.float32 if is_float(name, dims) else np.float16)
        writer.add_tensor_info(name, dims, kind, math.prod(dims) * kind.itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    random = np.random.default_rng(seed)
    for name, dims, deviation in listed:
        values = random.standard_normal(math.prod(dims), dtype=np.float32).reshape(dims) * np.float32(deviation)
        if len(dims) == 1:
            values += np.float32(1)
        writer.write_tensor_data(values if is_float(name, dims) else values.astype(np.float16))
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--vocab", help="a GGUF file whose 32,000 tokens to take; they are made up if not given")
    parser.add_argument("--shape", choices=SHAPES, default="tinyllama-1.1b")
    parser.add_argument("--types", nargs="+", default=["F16", "Q8_0", "Q4_0", "Q4_K_M"])
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    f16 = args.out / f"{args.shape}-F16.gguf"
    if not f16.exists():
        print(f"writing {f16}", flush=True)
        write_f16(f16, SHAPES[args.shape], args.vocab, args.seed)
    for kind in args.types:
        path = args.out / f"{args.shape}-{kind}.gguf"
        if not path.exists():
            import peer

            print(f"writing {path}", flush=True)
            peer.quantize(f16, path, kind)


if __name__ == "__main__":
    main()
