#!/usr/bin/env python3
"""Speed of llama.cpp with one model, as JSON: the figures of `tyto bench`, measured the same way.

The timed loops do nothing but call llama_decode() with batches that were made before. LLAMA_CPP_LIB_PATH names another
build of its libraries.
"""
import argparse
import ctypes
import json
import pathlib
import resource
import time

import llama_cpp as lib
import numpy as np

import peer

CHUNK = 512  # tokens of a prompt in one call
LONG = 4096  # the room in which a kept sequence is made, and without which it cannot be taken up


class Batch:
    """(token, position, sequence) of each row; logits of the last row of each sequence in `ends`."""

    def __init__(self, rows, ends):
        self.raw = lib.llama_batch_init(len(rows), 0, 1)
        self.raw.n_tokens = len(rows)
        last = {sequence: i for i, (_, _, sequence) in enumerate(rows)}
        for i, (token, position, sequence) in enumerate(rows):
            self.raw.token[i], self.raw.pos[i] = int(token), position
            self.raw.n_seq_id[i], self.raw.seq_id[i][0] = 1, sequence
            self.raw.logits[i] = sequence in ends and last[sequence] == i


def compute(model, batches):
    """Seconds that they take."""
    begin = time.perf_counter()
    for batch in batches:
        if lib.llama_decode(model.context, batch.raw) != 0:
            raise RuntimeError("llama_decode failed")
    lib.llama_synchronize(model.context)
    return time.perf_counter() - begin


def prompt(ids):
    starts = range(0, len(ids), CHUNK)
    return [
        Batch([(ids[i], i, 0) for i in range(start, min(start + CHUNK, len(ids)))], {0} if start == starts[-1] else {})
        for start in starts
    ]


def steps(ids, depth, sequences):
    """One token more for each sequence, in each batch."""
    every = range(sequences)
    return [Batch([(token, depth + i, sequence) for sequence in every], set(every)) for i, token in enumerate(ids)]


def truncate(model, depth):
    lib.llama_memory_seq_rm(lib.llama_get_memory(model.context), -1, depth, -1)


def save(model, state):
    if state and not state.exists():
        lib.llama_state_save_file(model.context, str(state).encode(), (lib.llama_token * 1)(), 0)


def fill(model, ids, state):
    """A sequence of as many tokens as `ids`: those of the file `state`, where it is there."""
    if state and state.exists():
        found, none = ctypes.c_size_t(0), (lib.llama_token * 1)()
        if lib.llama_state_load_file(model.context, str(state).encode(), none, 1, ctypes.byref(found)):
            return truncate(model, len(ids))
    compute(model, prompt(ids))
    save(model, state)


def measure(model, args):
    ids = np.random.default_rng(0).integers(3, model.vocab, size=max(args.prompt, args.tokens, args.depth))
    result = {"prefill": [], "decode": []}
    if args.prompt:
        compute(model, prompt(ids[:64]))  # warm
        batches = prompt(ids[: args.prompt])
        for _ in range(args.repetitions):
            model.clear()
            result["prefill"].append(args.prompt / compute(model, batches))
        save(model, args.state)
        model.clear()
    if args.tokens:
        if args.depth:
            fill(model, ids[: args.depth], args.state)
        batches = steps(ids[: args.tokens], args.depth, args.batch)
        compute(model, batches)  # warm
        for _ in range(args.repetitions):
            truncate(model, args.depth)
            result["decode"].append(args.tokens * args.batch / compute(model, batches))
    return result


def first_token(args):
    """Seconds to the first byte of text, greedily after "Once". Python's own start is not counted."""
    begin = time.perf_counter()
    with peer.opened(args.model, args.threads, context=512, flash=args.flash) as model:
        ids = [model.begin_of_text(), *model.tokenize("Once")]
        compute(model, prompt(ids))
        token = int(np.argmax(model.logits_at(len(ids) - 1)))
        text = ctypes.create_string_buffer(64)
        lib.llama_token_to_piece(lib.llama_model_get_vocab(model.model), token, text, len(text), 0, False)
        return {"first": [time.perf_counter() - begin]}


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("-p", "--prompt", type=int, default=512)
    parser.add_argument("-n", "--tokens", type=int, default=64)
    parser.add_argument("-d", "--depth", type=int, default=0, help="tokens that stand before the single ones")
    parser.add_argument("-b", "--batch", type=int, default=1, help="sequences that advance together")
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("-r", "--repetitions", type=int, default=3)
    parser.add_argument("--flash", choices=peer.FLASH, default="auto")
    parser.add_argument("--state", type=pathlib.Path, help="a file that keeps a long sequence between processes")
    parser.add_argument("--first", action="store_true", help="only the time to the first token")
    args = parser.parse_args()

    before = peak_bytes()
    if args.first:
        result = first_token(args)
    else:
        context = max(args.prompt, args.depth + args.tokens, LONG if args.state else 0)
        with peer.opened(
            args.model, args.threads, context=context, flash=args.flash, sequences=args.batch
        ) as model:
            result = measure(model, args)
    print(json.dumps({"version": peer.version(), "peak_bytes": peak_bytes() - before, **result}))


if __name__ == "__main__":
    main()
