#!/usr/bin/env python3
"""One product of BF16 by tyto's kernel and by oneDNN, in turn: how much of the tiles' peak another library reaches.

  onednn.py --python PYTHON     a Python that has PyTorch, which brings oneDNN

512 rows times a [4096, 4096] matrix that is packed before, in one thread; GMAC/s, best and median of all rounds.
"""
import argparse
import json
import os
import pathlib
import statistics

from engines import output_of

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROWS, SIZE = 512, 4096

ONEDNN = f"""
import time, torch
torch.set_num_threads(1)
x, w = torch.randn({ROWS}, {SIZE}).bfloat16(), torch.randn({SIZE}, {SIZE}).bfloat16()
with torch.no_grad():
    packed = torch.ops.mkldnn._reorder_linear_weight(w, {ROWS})
    for i in range(24):
        began = time.perf_counter()
        torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")
        if i >= 4:
            print(time.perf_counter() - began)
"""


def tyto(args):
    found = json.loads(output_of([args.kernels, f"--benchmark_filter=multiply/{args.isa}/bf16/{ROWS}$",
                                  "--benchmark_repetitions=5", "--benchmark_min_time=0.05", "--benchmark_format=json"]))
    return [run["GMAC/s"] for run in found["benchmarks"] if run["run_type"] == "iteration"]


def onednn(args):
    seconds = map(float, output_of([args.python, "-c", ONEDNN]).split())
    return [ROWS * SIZE * SIZE * 1e-9 / each for each in seconds]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--isa", default="amx")
    parser.add_argument("--kernels", type=pathlib.Path, default=ROOT / "build/release/benchmarks/tyto_bench_kernels")
    parser.add_argument("--roofs", type=pathlib.Path, default=ROOT / "build/release/benchmarks/tyto_bench_roofs")
    args = parser.parse_args()
    os.sched_setaffinity(0, {0})
    rates, peaks = {"tyto": [], "oneDNN": []}, []
    for _ in range(args.rounds):
        peaks.append(json.loads(output_of([args.roofs, 1]))["1"]["bf16_amx"] * 1e-9)
        rates["tyto"] += tyto(args)
        rates["oneDNN"] += onednn(args)
    for name, found in rates.items():
        print(f"{name:8} best {max(found):5.0f}, median {statistics.median(found):5.0f} GMAC/s")
    print(f"peak     best {max(peaks):5.0f}, median {statistics.median(peaks):5.0f} GMAC/s")


if __name__ == "__main__":
    main()
