#!/usr/bin/env python3
"""Writes unicode_classes.cpp and unicode_folding.cpp beside itself, from the Unicode Character Database.

    pip install unicodedata2==16.0.0 && python3 make_unicode_tables.py

The version is fixed: ids must not change with the machine that built the library. 16.0 is what the regular expressions
of Hugging Face's tokenizers use.
"""
import os
import sys

import unicodedata2 as ucd

VERSION = "16.0.0"
CLASSES = ["other", "letter", "number", "punctuation", "symbol", "mark", "space", "control"]  # CharClass in unicode.h
# Lower-case mappings newer than the oldest Python that may run this (its str.lower knows the rest).
LATE_LOWER = {0x1C89: 0x1C8A, 0xA7CB: 0x264, 0xA7CC: 0xA7CD, 0xA7DA: 0xA7DB, 0xA7DC: 0x19B,
              **{c: c + 0x20 for c in range(0x10D50, 0x10D66)}}
WHITE_SPACE = {*range(0x09, 0x0E), 0x85}  # the White_Space characters outside category Z
BLOCK = 256


def char_class(code):
    category = ucd.category(chr(code))
    if code in WHITE_SPACE or category[0] == "Z":
        return CLASSES.index("space")
    if category == "Mn":
        return CLASSES.index("mark")
    if category in ("Cc", "Cf", "Co"):
        return CLASSES.index("control")
    return {"L": 1, "N": 2, "P": 3, "S": 4}.get(category[0], 0)


def wrap(items, width=100, indent="    "):
    lines, line = [], indent
    for item in items:
        if len(line) + len(item) + 2 > width:
            lines.append(line.rstrip())
            line = indent
        line += item + ", "
    return "\n".join(lines + [line.rstrip()])


def banner(what):
    return (f"// {what} Written by make_unicode_tables.py from Unicode {VERSION}; do not edit.\n"
            '#include "src/text/unicode.h"\n\nnamespace tyto::text {\n\n// clang-format off\n')


def classes_file():
    classes = [char_class(code) for code in range(0x110000)]
    unique, index = {}, []
    for start in range(0, 0x110000, BLOCK):
        index.append(unique.setdefault(bytes(classes[start:start + BLOCK]), len(unique)))
    assert len(unique) <= 256
    # Planes 4 to 13 and the private planes repeat one block: the index ends where that begins.
    end = 0x32400 // BLOCK
    tail = {(start * BLOCK, index[start]) for start in range(end, len(index))}
    unassigned = index[0x50000 // BLOCK]
    special = sorted((start, block) for start, block in tail if block != unassigned)
    assert all(0xE0000 <= start < 0xE0200 or start >= 0xF0000 for start, _ in special), special
    out = banner("The class of each code point.")
    out += f"\nconst unsigned char kClassBlock[{end + 2}] = {{\n"
    out += wrap([str(b) for b in index[:end] + [index[0xE00], index[0xE01]]]) + "\n};\n"
    out += f"\n// One digit per code point, {BLOCK} per block.\nconst char kClassOf[] =\n"
    rows = []
    for block in unique:
        digits = "".join(map(str, block))
        rows += [f'    "{digits[i:i + 86]}"' for i in range(0, BLOCK, 86)]
    out += "\n".join(rows) + ";\n"
    return out + "\n// clang-format on\n}  // namespace tyto::text\n"


def lower_of(code):
    if ucd.category(chr(code)) == "Cn" or code == 0x130:  # U+0130 becomes two characters: unicode.cpp
        return code
    lowered = LATE_LOWER.get(code)
    return lowered if lowered else ord(chr(code).lower())


def lower_ranges():
    ranges = []  # [first, last, step, delta]
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000 or lower_of(code) == code:
            continue
        delta = lower_of(code) - code
        if ranges and ranges[-1][3] == delta:
            first, last, step, _ = ranges[-1]
            gap = code - last
            if gap <= 2 and (first == last or gap == step):
                ranges[-1][1:3] = [code, gap]
                continue
        ranges.append([code, code, 1, delta])
    return ranges


def bare(code):
    """The canonical decomposition without nonspacing marks."""
    return [ord(c) for c in ucd.normalize("NFD", chr(code)) if ucd.category(c) != "Mn"]


def folding_file():
    out = banner("Lower case and accents.")
    ranges = lower_ranges()
    out += f"\nconst LowerRange kLower[{len(ranges)}] = {{\n"
    out += wrap([f"{{0x{a:X}, 0x{b:X}, {s}, {d}}}" for a, b, s, d in ranges]) + "\n};\n"
    out += f"const int kLowerCount = {len(ranges)};\n"
    entries = []
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000 or 0xAC00 <= code < 0xD7A4 or ucd.category(chr(code)) == "Mn":
            continue
        parts = bare(code)
        if parts != [code]:
            assert 1 <= len(parts) <= 3
            entries.append(f"{{0x{code:X}, {{" + ", ".join(f"0x{p:X}" for p in parts) + "}}")
    out += f"\nconst Bare kBare[{len(entries)}] = {{\n" + wrap(entries) + "\n};\n"
    out += f"const int kBareCount = {len(entries)};\n"
    return out + "\n// clang-format on\n}  // namespace tyto::text\n"


def main():
    # A tool that people run by hand, not a part of the library: it may end its own process.
    if ucd.unidata_version != VERSION:
        sys.exit(f"unicodedata2 has Unicode {ucd.unidata_version}, not {VERSION}")
    folder = os.path.dirname(os.path.abspath(__file__))
    for name, make in [("unicode_classes.cpp", classes_file), ("unicode_folding.cpp", folding_file)]:
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(make())


main()
