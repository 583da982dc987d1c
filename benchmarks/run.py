#!/usr/bin/env python3
"""tyto against llama.cpp on this machine, and against what the machine can do: the table of rows.py.

  run.py                                  every row, then again with AVX2 alone; prepare.sh has made what it needs
  run.py decode prefill --formats Q4_0    some rows, of some weight formats
  run.py --isa avx2                       tyto's AVX2 table against llama.cpp built for AVX2 alone

For each row, in each round, each model is measured by tyto and by every peer in turn, each in a process of its own;
the roofs are measured beside them. Figures are medians over all rounds. The results file keeps the figures of rows
that are not run this time. Nothing else should run meanwhile.
"""
import argparse
import json
import os
import pathlib
import platform
import re
import statistics
import sys
import time

import judge
from engines import Failed, LlamaCpp, Tyto, output_of, scratch_folder
from rows import ROWS

ROOT = pathlib.Path(__file__).resolve().parent.parent
MADE = ROOT / "build" / "bench"


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def machine_name():
    words = re.sub(r"\(.*?\)|@.*|\b(Intel|AMD|Processor|CPU)\b", " ", processor()).lower().split()
    return "-".join([*words, str(os.cpu_count()), "cores"])


def models_of(row, args):
    """(name of the figure's model, its weight format, its file)"""
    if row.model == "demo":
        return [("demo", "Q8_0", ROOT / "examples" / "models" / "story.gguf")]
    labels = {kind: f"{args.shape}-{kind}" for kind in args.formats or row.formats}
    return [(label, kind, args.models / f"{label}.gguf") for kind, label in labels.items()]


def summary(runs):
    """Many processes' figures as one."""
    failed = next((run for run in runs if "error" in run), None)
    if failed:
        return failed
    samples = [sample for run in runs for sample in run["samples"]]
    merged = {"median": statistics.median(samples), "samples": samples}
    for key in runs[0].keys() - {"samples"}:
        known = [run[key] for run in runs]
        merged[key] = statistics.median(known) if isinstance(known[0], float) else known[0]
    return merged


def attempt(engine, row_name, work, model):
    try:
        return engine.measure(row_name, work, model)
    except Failed as failure:
        return {"error": str(failure)}


def roofs(args):
    found = json.loads(output_of([args.roofs, args.threads]))
    return {threads: peaks for threads, peaks in found.items() if threads != "schema"}


def best_of(roofs_of_rounds):
    """Roofs are what the machine can do: the best of what was seen."""
    best = {}
    for found in roofs_of_rounds:
        for threads, peaks in found.items():
            for unit, rate in peaks.items():
                known = best.setdefault(threads, {})
                known[unit] = max(known.get(unit, 0), rate)
    return best


def run_row(name, args, engines, report):
    row = ROWS[name]
    models = models_of(row, args)
    for _, _, path in models:
        if not path.exists():
            sys.exit(f"{path} is not there; prepare.sh makes it")
    runs, seen = {}, []
    for number in range(args.rounds):
        seen.append(roofs(args))
        for label, _, path in models:
            for engine in engines[:1] if row.long and number > 0 else engines:
                began = time.perf_counter()
                found = attempt(engine, name, row.work, path)
                runs.setdefault(label, {}).setdefault(engine.name, []).append(found)
                print(f"{name}, round {number + 1}: {label}, {engine.name} ({time.perf_counter() - began:.0f} s)",
                      file=sys.stderr, flush=True)
    for label, kind, path in models:
        figures = {engine: summary(found) for engine, found in runs[label].items()}
        report["figures"][f"{name}/{label}"] = {
            "row": name, "format": kind, "unit": row.unit, "engines": figures, "roofs": best_of(seen),
            "threads": row.work.threads or args.threads, "macs": engines[0].macs(path, row.work),
        }


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all, if none is named")
    parser.add_argument("--formats", nargs="+", help="weight formats, in place of each row's own")
    parser.add_argument("--rounds", type=int, default=3, help="llama.cpp takes part in one, where it takes minutes")
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("--isa", help="tyto's table; the best, if not given")
    parser.add_argument("--kv", default="bf16", help="tyto's cache type, which is bf16 by itself; llama.cpp's is f16")
    parser.add_argument("--shape", default="tinyllama-1.1b")
    parser.add_argument("--peer", action="append", metavar="NAME=FOLDER", help="a build of llama.cpp's libraries")
    parser.add_argument("--alone", action="store_true", help="tyto without any peer")
    parser.add_argument("--tyto", type=pathlib.Path, default=ROOT / "build/release/examples/tyto")
    parser.add_argument("--roofs", type=pathlib.Path, default=ROOT / "build/release/benchmarks/tyto_bench_roofs")
    parser.add_argument("--models", type=pathlib.Path, default=MADE / "models")
    parser.add_argument("--python", default=MADE / "venv/bin/python", help="the one that has llama-cpp-python")
    parser.add_argument("--json", type=pathlib.Path, help="benchmarks/results/MACHINE-SHAPE.json, if not given")
    args = parser.parse_args()
    if args.json and not (args.rows or args.isa):
        parser.error("--json takes one table: name an --isa or rows")
    unknown = [name for name in args.rows if name not in ROWS]
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    missing = [str(program) for program in (args.tyto, args.roofs) if not program.exists()]
    if missing:
        parser.error(f"{', '.join(missing)}: not there; prepare.sh builds it")
    return args


def peers_of(args, isa):
    if args.alone:
        return {}
    if args.peer:
        return dict(peer.split("=", 1) for peer in args.peer)
    built = sorted(path for path in (MADE / "peers").glob("*") if path.is_dir())
    found = {path.name: path for path in built if ("avx2" in path.name) == (isa == "avx2")}
    return found or sys.exit("no build of llama.cpp: prepare.sh makes them, --peer names one, --alone asks for none")


def run_table(args, isa, path):
    """Measures the rows, one after the other, into the results file; prints their table."""
    known = json.loads(path.read_text())["figures"] if path.exists() else {}
    machine = {"processor": processor(), "cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"}
    report = {"schema": "tyto.table.v1", "machine": machine, "isa": isa, "shape": args.shape,
              "figures": {name: figure for name, figure in known.items() if figure["row"] in ROWS}}
    with scratch_folder() as scratch:
        scratch = pathlib.Path(scratch)
        engines = [Tyto(args.tyto, args.threads, isa, args.kv, scratch)]
        for name, folder in peers_of(args, isa).items():
            engines.append(LlamaCpp(name, folder, args.python, args.threads, scratch))
        for name in args.rows or ROWS:
            run_row(name, args, engines, report)
            judge.judge(report)
            path.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\n{path.name}:\n\n{judge.table(report, args.rows or ROWS)}", flush=True)


def main():
    args = arguments()
    for isa in [args.isa] if args.isa else ["best"] if args.rows else ["best", "avx2"]:
        suffix = "" if isa == "best" else f"-{isa}"
        path = args.json or ROOT / f"benchmarks/results/{machine_name()}-{args.shape}{suffix}.json"
        run_table(args, isa, path)


if __name__ == "__main__":
    main()
