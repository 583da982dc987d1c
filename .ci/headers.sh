#!/usr/bin/env bash
# Each public header compiles alone, with both compilers, with and without exceptions, and shows no CUDA, fmt or simdjson.
set -euo pipefail
cd "$(dirname "$0")/.."
strict=(-std=c++20 -Iinclude -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Werror)
for header in include/tyto/*.h; do
  for compiler in "g++" "clang++ -fno-exceptions"; do
    echo "#include \"tyto/${header##*/}\"" | $compiler "${strict[@]}" -x c++ -
  done
done
if grep -nE '#include *[<"](cuda|cub|thrust|nv|fmt/|simdjson)' include/tyto/*.h; then exit 1; fi
