#!/usr/bin/env python3
"""Turns a Hugging Face tokenizer.json (byte-level BPE) into a GGUF file without weights.

    python3 tests/make_bpe_gguf.py TOKENIZER.json PRE OUT.gguf

PRE is what tokenizer.ggml.pre shall say: "llama-bpe", "qwen2", ... The tests look for OUT in the folder that the
variable TYTO_TEST_MADE names, and skip by name where it is absent:

    mkdir -p "$TYTO_TEST_MADE"
    python3 tests/make_bpe_gguf.py "$TYTO_TEST_DATA/tokenizers/llama-3/tokenizer.json" llama-bpe \\
        "$TYTO_TEST_MADE/llama-3.gguf"
"""
import json
import struct
import sys

ROLES = {"<|begin_of_text|>": "bos", "<|end_of_text|>": "eos", "<|endoftext|>": "eos", "<|eot_id|>": "eot"}
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4  # token types
UINT32, INT32, STRING, ARRAY = 4, 5, 8, 9  # value types of GGUF


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def string(value):
    return struct.pack("<I", STRING) + text(value)


def strings(values):
    return struct.pack("<IIQ", ARRAY, STRING, len(values)) + b"".join(map(text, values))


def int32s(values):
    return struct.pack(f"<IIQ{len(values)}i", ARRAY, INT32, len(values), *values)


def uint32(value):
    return struct.pack("<II", UINT32, value)


def main(source, pre, out):
    with open(source, encoding="utf-8") as file:
        tokenizer = json.load(file)
    model = tokenizer["model"]
    pieces = {id: piece for piece, id in model["vocab"].items()}
    types = dict.fromkeys(pieces, NORMAL)
    for token in tokenizer["added_tokens"]:
        pieces[token["id"]] = token["content"]
        types[token["id"]] = CONTROL if token["special"] else USER_DEFINED
    ids = range(len(pieces))
    if sorted(pieces) != list(ids):
        sys.exit(f"{source}: ids are not 0 to {len(pieces) - 1}")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]

    values = {"general.architecture": string("llama"), "tokenizer.ggml.model": string("gpt2"),
              "tokenizer.ggml.pre": string(pre), "tokenizer.ggml.tokens": strings([pieces[id] for id in ids]),
              "tokenizer.ggml.token_type": int32s([types[id] for id in ids]),
              "tokenizer.ggml.merges": strings(merges)}
    for token in tokenizer["added_tokens"]:
        if token["content"] in ROLES:
            values[f"tokenizer.ggml.{ROLES[token['content']]}_token_id"] = uint32(token["id"])
    with open(out, "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(values)))
        for key, value in values.items():
            file.write(text(key) + value)


main(*sys.argv[1:])
