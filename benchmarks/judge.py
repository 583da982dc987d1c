"""What figures say about the rows: ratios to llama.cpp, shares of what bounds them, and whether that is as asked."""
from rows import AVX2_RATIO, BF16, F32, INT8, ROWS

DIGITS = {"tok/s": 1, "MiB": 1, "x": 2, "s": 3}
UNITS = {"int8": INT8, "bf16": BF16, "f32": F32}


def judge(report):
    """Adds to each figure its "ratio", "share" and "verdict"."""
    for name, figure in report["figures"].items():
        tyto = figure["engines"]["tyto"]
        for key in ("ratio", "peer", "ratio_asked", "share", "verdict"):
            figure.pop(key, None)
        if "error" in tyto:
            figure["verdict"] = "failed"
            continue
        row = ROWS[figure["row"]]
        forced = report["isa"] == "avx2"
        bound = None if forced else row.bound(figure["format"])
        ratio_asked = AVX2_RATIO if forced and row.unit != "MiB" else row.ratio(figure["format"])
        add_ratio(figure, row, ratio_asked)
        if bound:
            figure["share"] = share(report, name, figure, bound)
        figure["verdict"] = verdict(figure)


def add_ratio(figure, row, asked):
    """Against the fastest of the peers."""
    peers = {name: found["median"] for name, found in figure["engines"].items() if name != "tyto" and "median" in found}
    if not peers:
        return
    figure["peer"] = (min if row.lower_is_better else max)(peers, key=peers.get)
    ours, theirs = figure["engines"]["tyto"]["median"], peers[figure["peer"]]
    figure["ratio"] = theirs / ours if row.lower_is_better else ours / theirs
    if asked:
        figure["ratio_asked"] = asked


def share(report, name, figure, bound):
    tyto, peaks = figure["engines"]["tyto"], figure["roofs"][str(figure["threads"])]
    found = {"of": bound.of, "unit": bound.unit}
    if bound.asked:
        found |= {"asked": bound.asked, "stretch": bound.stretch, "at_most": bound.at_most}
    label = name.split("/", 1)[1]
    if bound.of == "read":
        found["value"] = tyto["median"] * tyto["bytes"] / tyto["read"]
    elif bound.of in UNITS:
        rate = tyto["median"] * sum(figure["macs"].values())
        there = [unit for unit in UNITS[bound.of] if peaks.get(unit)]
        found["of_units"] = {unit: rate / peaks[unit] for unit in there}
        found["value"] = min(found["of_units"].values(), default=None)
    elif bound.of in ROWS:
        found["value"] = of_other(report, f"{bound.of}/{label}", tyto["median"])
    elif bound.of == "one row's time":
        value = of_other(report, f"decode/{label}", tyto["median"])
        found["value"] = ROWS[figure["row"]].work.batch / value if value else None
    elif bound.of == "over the plan":
        found["value"] = tyto["over_plan"]
    else:
        found["value"] = tyto["median"]
    return found


def of_other(report, name, value):
    other = report["figures"].get(name, {"engines": {"tyto": {}}})["engines"]["tyto"].get("median")
    return value / other if other else None


def verdict(figure):
    """"" where nothing is asked, or it cannot be told."""
    told = []
    if "ratio_asked" in figure:
        told.append("met" if figure["ratio"] >= figure["ratio_asked"] else "missed")
    found = figure.get("share", {})
    if found.get("asked") and found["value"] is not None:
        sign = -1 if found["at_most"] else 1
        steps = [found[step] for step in ("asked", "stretch") if found[step]]
        reached = [step for step in steps if sign * (found["value"] - step) >= 0]
        told.append(("missed", "met", "stretch")[len(reached)])
    return min(told, key=("missed", "met", "stretch").index, default="")


def number(value, unit):
    if unit == "%":
        return f"{value:.0%}"
    return f"{value:.{DIGITS[unit]}f} {unit}"


def cell(found, unit):
    if "error" in found:
        return found["error"]
    spread = (max(found["samples"]) - min(found["samples"])) / 2
    flash = f", flash {found['flash']}" if "flash" in found else ""
    digits = DIGITS[unit]
    return f"{found['median']:.{digits}f} ± {spread:.{digits}f}{flash}"


def share_cell(found):
    if found is None or found["value"] is None:
        return ""
    text = number(found["value"], found["unit"])
    if found["of"]:
        text += f" {found['of']}" if found["of"] == "over the plan" else f" of {found['of']}"
    if found.get("of_units"):
        text = ", ".join(f"{value:.0%} of {unit}" for unit, value in found["of_units"].items())
    if "asked" in found:
        text += f" ({'at most ' if found['at_most'] else ''}{number(found['asked'], found['unit'])})"
    return text


def table(report, names):
    """Markdown. What is asked stands in parentheses."""
    shown = {name: figure for name, figure in report["figures"].items() if figure["row"] in names}
    peers = sorted({engine for figure in shown.values() for engine in figure["engines"]} - {"tyto"})
    lines = ["| what | model | unit | tyto | " + "".join(f"{peer} | " for peer in peers) + "ratio | share | verdict |",
             "|---|---|---|---|" + "---|" * len(peers) + "---|---|---|"]
    for name, figure in shown.items():
        ratio = f"{figure['ratio']:.2f}" if "ratio" in figure else ""
        ratio += f" ({figure['ratio_asked']})" if "ratio_asked" in figure else ""
        cells = [ROWS[figure["row"]].title, name.split("/", 1)[1], figure["unit"]]
        cells += [cell(figure["engines"].get(engine, {"error": ""}), figure["unit"]) for engine in ["tyto", *peers]]
        cells += [ratio, share_cell(figure.get("share")), figure.get("verdict", "")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
