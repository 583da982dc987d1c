#!/usr/bin/env python3
"""tyto against llama.cpp on this machine: the same files, the same threads, in turn.

  compare.py TYTO MODEL.gguf... [--peer NAME=LIBRARY_FOLDER ...] [--rounds 3] [--json FILE]

Each round runs, for each model, tyto and every peer, each in a process of its own that loads, warms up and measures a
prompt and single tokens. Figures are medians over all rounds; the spread is half the distance of the extremes. A peer
is a folder with a build of llama.cpp's libraries; without one, the build inside llama-cpp-python is used. Model files
come from make_model.py. Nothing else should run meanwhile.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def run_tyto(args, model):
    command = [args.tyto, "bench", model, "-p", args.prompt, "-n", args.tokens, "-t", args.threads, "-r", args.repetitions]
    command += ["--isa", args.isa, "--kv", args.kv, "--json"]
    found = json.loads(subprocess.run(list(map(str, command)), check=True, capture_output=True).stdout)
    return {
        "prefill": found["prefill"]["samples"],
        "decode": found["decode"]["samples"],
        "load_seconds": found["load_seconds"],
        "bandwidth": found["read_bandwidth"],
        "bytes_per_step": found["decode"]["bytes_per_step"],
        "version": found["model"],
    }


def run_peer(args, model, folder):
    command = [sys.executable, HERE / "peer.py", model, "-p", args.prompt, "-n", args.tokens, "-t", args.threads]
    command += ["-r", args.repetitions, "--flash", args.flash]
    environment = dict(os.environ, **({"LLAMA_CPP_LIB_PATH": str(folder)} if folder else {}))
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True)
    if done.returncode != 0:
        return {"error": f"ended with {done.returncode}"}
    return json.loads(done.stdout)


def merge(runs):
    """Many processes' figures as one: {"prefill": {"median", "spread", "samples"}, ...}."""
    failed = [run for run in runs if "error" in run]
    if failed:
        return failed[0]
    merged = {"version": runs[0]["version"], "load_seconds": statistics.median(run["load_seconds"] for run in runs)}
    for name in ("prefill", "decode"):
        samples = [sample for run in runs for sample in run[name]]
        spread = (max(samples) - min(samples)) / 2
        merged[name] = {"median": statistics.median(samples), "spread": spread, "samples": samples}
    if "bandwidth" in runs[0]:
        merged["bandwidth"] = statistics.median(run["bandwidth"] for run in runs)
        merged["bytes_per_step"] = runs[0]["bytes_per_step"]
    return merged


def cell(figures, name):
    if "error" in figures:
        return figures["error"]
    return f"{figures[name]['median']:.1f} ± {figures[name]['spread']:.1f}"


def table(results, peers):
    print("| model | what | tyto | " + " | ".join(f"{peer} | ratio" for peer in peers) + " | of read bandwidth |")
    print("|---|---|---|" + "---|---|" * len(peers) + "---|")
    for model, figures in results.items():
        tyto = figures["tyto"]
        for name in ("prefill", "decode"):
            row = [model, name, cell(tyto, name)]
            for peer in peers:
                theirs = figures[peer]
                ratio = "" if "error" in theirs else f"{tyto[name]['median'] / theirs[name]['median']:.2f}"
                row += [cell(theirs, name), ratio]
            share = tyto["decode"]["median"] * tyto["bytes_per_step"] / tyto["bandwidth"]
            row.append(f"{share:.0%} of {tyto['bandwidth'] / 1e9:.1f} GB/s" if name == "decode" else "")
            print("| " + " | ".join(row) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tyto", help="the tyto program")
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-p", "--prompt", type=int, default=512)
    parser.add_argument("-n", "--tokens", type=int, default=64)
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("-r", "--repetitions", type=int, default=1, help="in each process, after its warm-up")
    parser.add_argument("--isa", default="best")
    parser.add_argument("--kv", default="bf16", help="tyto's cache type; llama.cpp's is f16")
    parser.add_argument("--flash", default="auto", help="llama.cpp's flash attention: auto, on, off")
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()

    peers = dict(peer.split("=", 1) for peer in args.peer) or {"llama.cpp": None}
    runs = {}
    for number in range(args.rounds):
        for model in args.models:
            for name in ["tyto", *peers]:
                found = run_tyto(args, model) if name == "tyto" else run_peer(args, model, peers[name])
                runs.setdefault(model.stem, {}).setdefault(name, []).append(found)
                print(f"round {number + 1}: {model.stem}, {name}", file=sys.stderr, flush=True)
    results = {model: {name: merge(found) for name, found in by_name.items()} for model, by_name in runs.items()}
    table(results, peers)
    if args.json:
        machine = {"processor": processor(), "cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"}
        setting = {"prompt": args.prompt, "tokens": args.tokens, "threads": args.threads, "rounds": args.rounds}
        report = {"schema": "tyto.compare.v1", "machine": machine, "setting": setting, "results": results}
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
