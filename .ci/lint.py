#!/usr/bin/env python3
"""Files of at most 600 lines and functions of at most 60, so that each can be held in the head. Says what is longer."""
import pathlib
import re
import subprocess
import sys

FILE_LINES, FUNCTION_LINES = 600, 60
# Kernels may be longer, as tests may: they are read from top to bottom. (path, function) of each kernel.
NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|R"\((.*?)\)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|^ *#(?:[^\n\\]|\\.)*', re.S | re.M)
SCOPE = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b[^()]*$")


def functions(text):
    """(line, name, lines) of each function body: a brace after a parameter list, in nothing but scopes."""
    text = NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)
    stack, head = [], 0  # what each open brace began; where the current statement began
    for match in re.finditer(r"[{};]", text):
        statement, where = text[head:match.start()], match.start()
        head = match.end()
        if match.group() == "{":
            if SCOPE.search(statement):
                stack.append("scope")
            elif "(" in statement and all(opened == "scope" for opened in stack):
                start = where - len(statement.lstrip())
                name = re.search(r"([\w:~]+)\s*\(", statement)
                stack.append((text.count("\n", 0, start) + 1, name.group(1) if name else "?"))
            else:
                stack.append("block")
        elif match.group() == "}" and stack:
            opened = stack.pop()
            if isinstance(opened, tuple):
                yield *opened, text.count("\n", 0, where) + 2 - opened[0]


def readme():
    """README's example is examples/hello.cpp as it stands, so that it is compiled."""
    example = pathlib.Path("examples/hello.cpp").read_text()
    if f"```cpp\n{example}```" not in pathlib.Path("README.md").read_text():
        yield "README.md does not show examples/hello.cpp as it stands"


def main():
    listed = subprocess.run(["git", "ls-files", "*.h", "*.cpp", "*.cu", "*.cuh"], check=True, text=True, capture_output=True)
    problems, paths = list(readme()), listed.stdout.split()
    for path in paths:
        text = pathlib.Path(path).read_text()
        if text.count("\n") > FILE_LINES:
            problems.append(f"{path} has {text.count(chr(10))} lines, at most {FILE_LINES}")
        for line, name, length in functions(text):
            if length > FUNCTION_LINES and name != "TEST_CASE":
                problems.append(f"{path}:{line} {name} has {length} lines, at most {FUNCTION_LINES}")
    print("\n".join(problems) or f"{len(paths)} files")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
