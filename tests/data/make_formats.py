#!/usr/bin/env python3
"""Writes formats.txt: checksums of every weight format's values, by gguf-py, the reference (pip install gguf numpy).

Per format 65536 blocks of pseudo-random bytes are dequantized; the first 16-bit scale of block i has the bits i, so that
every half-precision number occurs. formats_test.cpp makes the same blocks and must come to the same checksums.
"""
import pathlib

import gguf
import numpy as np

SCALE_OFFSET = {"Q6_K": 208}  # where the 16-bit scale lies, if not at 0
FORMATS = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]
BLOCKS = 65536


def mix(x):
    """SplitMix64's output function (Steele, Lea and Flood 2014)."""
    x = x * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def main():
    lines = []
    for name in FORMATS:
        kind = gguf.GGMLQuantizationType[name]
        values, size = gguf.GGML_QUANT_SIZES[kind]
        data = mix(np.arange(BLOCKS * size, dtype=np.uint64)).astype(np.uint8).reshape(BLOCKS, size)
        offset = SCALE_OFFSET.get(name, 0)
        data[:, offset : offset + 2] = np.arange(BLOCKS, dtype=np.uint16).reshape(-1, 1).view(np.uint8)
        with np.errstate(all="ignore"):
            numbers = gguf.quants.dequantize(data, kind).astype(np.float32).ravel()
        bits = numbers.view(np.uint32).astype(np.uint64)
        bits[np.isnan(numbers)] = 0x7FC00000
        checksum = int((bits * mix(np.arange(1, bits.size + 1, dtype=np.uint64))).sum(dtype=np.uint64))
        lines.append(f"{name.lower()} {int(kind)} {values} {size} {checksum:016x}\n")
    pathlib.Path(__file__).with_name("formats.txt").write_text("".join(lines))


main()
