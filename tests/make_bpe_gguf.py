#!/usr/bin/env python3
"""Turns a Hugging Face tokenizer.json (byte-level BPE) into a GGUF file without weights.

    pip install gguf
    python3 tests/make_bpe_gguf.py TOKENIZER.json PRE OUT.gguf

PRE is what tokenizer.ggml.pre shall say: "llama-bpe", "qwen2", ... The tests look for OUT in the folder that the
variable TYTO_TEST_MADE names, and skip by name where it is absent:

    mkdir -p "$TYTO_TEST_MADE"
    python3 tests/make_bpe_gguf.py "$TYTO_TEST_DATA/tokenizers/llama-3/tokenizer.json" llama-bpe \\
        "$TYTO_TEST_MADE/llama-3.gguf"
"""
import json
import sys

import gguf

NAMES = {"<|begin_of_text|>": "add_bos_token_id", "<|end_of_text|>": "add_eos_token_id",
         "<|endoftext|>": "add_eos_token_id", "<|eot_id|>": "add_eot_token_id"}


def main(source, pre, out):
    with open(source, encoding="utf-8") as file:
        tokenizer = json.load(file)
    model = tokenizer["model"]
    pieces = {id: piece for piece, id in model["vocab"].items()}
    types = dict.fromkeys(pieces, gguf.TokenType.NORMAL)
    for token in tokenizer["added_tokens"]:
        pieces[token["id"]] = token["content"]
        types[token["id"]] = gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED
    if sorted(pieces) != list(range(len(pieces))):
        sys.exit(f"{source}: ids are not 0 to {len(pieces) - 1}")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]

    writer = gguf.GGUFWriter(out, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([pieces[id] for id in range(len(pieces))])
    writer.add_token_types([int(types[id]) for id in range(len(pieces))])
    writer.add_token_merges(merges)
    for token in tokenizer["added_tokens"]:
        if token["content"] in NAMES:
            getattr(writer, NAMES[token["content"]])(token["id"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


main(*sys.argv[1:])
