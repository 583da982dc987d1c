#!/usr/bin/env python3
"""What the CUDA compiler says of every kernel: a table for docs/cuda-kernels.md.

  benchmarks/cuda_resources.py build/release [-a 90] > docs/cuda-kernels.md

BUILD is configured with CUDA: its generated sources are compiled. Needs nvcc and no device.
"""
import argparse
import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
COMPILED = re.compile(r"Compiling entry function '(\w+)'")
SPILLED = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers(?:, used \d+ barriers)?(?:, (\d+) bytes cumulative stack size)?(?:, (\d+) bytes smem)?")


def report(source, architecture):
    """(mangled name, registers, static shared bytes, stack bytes, spilled bytes) of each kernel."""
    command = ["nvcc", "-std=c++20", "-O3", f"-I{ROOT / 'include'}", f"-I{ROOT}", "-Xptxas", "-v", "-c", source, "-o",
               "/dev/null", "-gencode", f"arch=compute_{architecture},code=sm_{architecture}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    name, stack, spilled = None, 0, 0
    for line in done.stderr.splitlines():
        if found := COMPILED.search(line):
            name = found[1]
        elif found := SPILLED.search(line):
            stack, spilled = int(found[1]), int(found[2]) + int(found[3])
        elif found := USED.search(line):
            yield name, int(found[1]), int(found[3] or 0), stack, spilled


def demangled(names):
    lines = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    return dict(zip(names, lines.splitlines()))


def readable(name):
    return re.search(r"(\w+_kernel)", name)[1]


def span(values):
    return str(min(values)) if min(values) == max(values) else f"{min(values)} to {max(values)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("-a", "--architecture", default="90")
    options = parser.parse_args()
    version = re.search(r"release ([\d.]+)", subprocess.run(["nvcc", "--version"], capture_output=True, text=True).stdout)[1]
    sources = sorted((ROOT / "cuda/blocks").glob("*.cu")) + sorted((options.build / "generated").glob("cuda_*.cu"))
    print(f"# What the CUDA compiler says\n\nnvcc {version} for sm_{options.architecture}, by `benchmarks/cuda_resources.py`. "
          "A row is every variant of a kernel in one source.\nDynamic shared memory is not in it: tile_kernel has up to 99 KiB.\n")
    print("| source | kernel | variants | registers | shared bytes | stack bytes | spilled bytes |\n|---|---|---|---|---|---|---|")
    for source in sources:
        found = list(report(source, options.architecture))
        names = demangled([kernel[0] for kernel in found])
        rows = collections.defaultdict(list)
        for mangled, *figures in found:
            rows[readable(names[mangled])].append(figures)
        for kernel, variants in sorted(rows.items()):
            columns = " | ".join(span(column) for column in zip(*variants))
            print(f"| {source.name} | {kernel} | {len(variants)} | {columns} |")


if __name__ == "__main__":
    main()
