#!/usr/bin/env python3
"""What became slower: two results files of run.py, of one machine.

  regress.py OLD.json NEW.json [--tolerance 0.05]

Names every figure of tyto's that lost more than the tolerance, or that is gone, and ends with 1 if there is one.
"""
import argparse
import json
import pathlib
import sys


def medians(path):
    report = json.loads(path.read_text())
    found = {}
    for name, figure in report["figures"].items():
        if "median" in figure["engines"]["tyto"]:
            found[name] = (figure["engines"]["tyto"]["median"], figure["unit"])
    return report["machine"], found


def gain(old, new, unit):
    """Of speed; seconds and bytes are better where they are fewer."""
    return new / old - 1 if unit == "tok/s" else old / new - 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=pathlib.Path)
    parser.add_argument("new", type=pathlib.Path)
    parser.add_argument("--tolerance", type=float, default=0.05)
    args = parser.parse_args()

    (old_machine, old), (new_machine, new) = medians(args.old), medians(args.new)
    if old_machine != new_machine:
        sys.exit(f"two machines: {old_machine['processor']}, {new_machine['processor']}")
    lost = 0
    for name, (before, unit) in old.items():
        if name not in new:
            lost += 1
            print(f"GONE {name}: {before:.4g} {unit} before")
            continue
        after, change = new[name][0], gain(before, new[name][0], unit)
        worse = change < -args.tolerance
        lost += worse
        print(f"{'LOST' if worse else 'ok  '} {name}: {before:.4g} to {after:.4g} {unit}, {change:+.1%}")
    print(f"{lost} of {len(old)} figures lost more than {args.tolerance:.0%}")
    sys.exit(lost > 0)


if __name__ == "__main__":
    main()
