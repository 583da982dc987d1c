#!/usr/bin/env python3
"""The roofline of a results file of run.py, as SVG and PNG.

  roofline.py RESULTS.json -o docs/performance/MACHINE.svg     (and a .png beside it; needs PyPI's matplotlib)

A step multiplies every weight by as many rows as it advances tokens: 1, 2, 4, ... sessions, or the 512 of a prompt.
Across: multiply-accumulates for each byte of weights and cache read; more rows, farther right. Up: multiply-accumulates
a second, linear layers and attention. Roofs: the read bandwidth and the arithmetic peaks that were measured beside.
"""
import argparse
import json
import math
import pathlib

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

from rows import ROWS  # noqa: E402

STEPS = ("decode", "batch-2", "batch-4", "batch-8", "batch-16", "batch-32", "prefill")
PEAKS = {"int8_amx": "int8, AMX", "bf16_amx": "bf16, AMX", "int8_vnni": "int8, VNNI", "f32": "f32 fma"}


def rows_of(name):
    work = ROWS[name].work
    return work.prompt or work.batch


def points(figures, label, engine):
    """(rows, MAC per byte, GMAC/s) of each step that was measured."""
    decode = figures.get(f"decode/{label}")
    if decode is None or "bytes" not in decode["engines"]["tyto"]:
        return
    weights = decode["engines"]["tyto"]["bytes"]  # of one step; its few rows of cache are under a percent of it
    for name in STEPS:
        figure = figures.get(f"{name}/{label}")
        found = figure and figure["engines"].get(engine)
        if found and "median" in found:
            macs = sum(figure["macs"].values())
            yield rows_of(name), macs * rows_of(name) / weights, found["median"] * macs / 1e9


def best_peer(figures):
    """The peer that is the fastest most often."""
    peers = [figure["peer"] for figure in figures.values() if "peer" in figure and figure["row"] in STEPS]
    return max(set(peers), key=peers.count) if peers else None


def roofs(figures):
    """The best that was seen, of all threads: {unit: rate}."""
    best = {}
    for figure in figures.values():
        for unit, rate in figure["roofs"][max(figure["roofs"], key=int)].items():
            best[unit] = max(best.get(unit, 0), rate)
        best["read"] = max(best.get("read", 0), figure["engines"]["tyto"].get("read", 0))
    return best


def draw_roofs(axes, best, left, right):
    read = best["read"]
    top = max((best[unit] for unit in PEAKS if unit in best), default=read * right)
    bend = min(top / read, right)
    axes.plot([left, bend], [left * read / 1e9, bend * read / 1e9], color="black", linewidth=1)
    for unit, text in PEAKS.items():
        if unit in best and best[unit] / read < right:
            axes.plot([best[unit] / read, right], [best[unit] / 1e9] * 2, color="black", linewidth=1)
            axes.annotate(f"{text}, {best[unit] / 1e9:.0f} GMAC/s", (right, best[unit] / 1e9), ha="right",
                          xytext=(0, 3), textcoords="offset points", fontsize=8)


def label_reading(axes, read, left):
    """Along its roof, once the axes have their final size."""
    (x0, y0), (x1, y1) = axes.transData.transform([(x, x * read / 1e9) for x in (left, left * 2)])
    axes.annotate(f"reading, {read / 1e9:.1f} GB/s", (left, left * read / 1e9), xytext=(0, 6),
                  textcoords="offset points", rotation=math.degrees(math.atan2(y1 - y0, x1 - x0)),
                  rotation_mode="anchor", fontsize=8)


def draw(report, path):
    figures = report["figures"]
    labels = [name.split("/", 1)[1] for name in figures if name.startswith("decode/")]
    peer = best_peer(figures)
    lines = {(label, engine): list(points(figures, label, engine)) for label in labels for engine in ("tyto", peer)}
    every = [point for line in lines.values() for point in line]
    pyplot.rcParams.update({"svg.hashsalt": "tyto", "svg.fonttype": "none", "font.size": 9})
    plot, axes = pyplot.subplots(figsize=(9, 5))
    axes.set(xscale="log", yscale="log", xlabel="multiply-accumulates per byte read", ylabel="GMAC/s")
    left, best = min(x for _, x, _ in every) / 1.5, roofs(figures)
    draw_roofs(axes, best, left, max(x for _, x, _ in every) * 4)
    colors = dict(zip(labels, pyplot.colormaps["tab10"].colors))
    for (label, engine), line in lines.items():
        ours = engine == "tyto"
        axes.plot([x for _, x, _ in line], [y for _, _, y in line], color=colors[label], linewidth=1,
                  linestyle="-" if ours else ":", marker="o" if ours else "x", markersize=4,
                  label=label if ours else None)
    axes.plot([], [], color="gray", linestyle=":", marker="x", markersize=4, label=f"llama.cpp ({peer})")
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    plot.tight_layout()
    label_reading(axes, best["read"], left)
    plot.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    plot.savefig(path.with_suffix(".png"), dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("-o", "--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    draw(json.loads(args.results.read_text()), args.out)


if __name__ == "__main__":
    main()
