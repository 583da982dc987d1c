#!/usr/bin/env bash
# Follows docs/adding.md to the letter in a scratch copy, builds it, and looks for what was added.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

git ls-files -z -- CMakeLists.txt include src cpu cuda tests/fake_cuda | tar --null -T - -cf - | tar -C "$scratch" -xf -

# A block of the page is a new file ("```cpp PATH"), or lines that go behind the first line that begins with some text
# ("```cpp PATH after "TEXT"").
awk -v root="$scratch" '
  /^```cpp / {
    path = root "/" $2; after = ""
    if (match($0, /after "[^"]*"/)) after = substr($0, RSTART + 7, RLENGTH - 8)
    text = ""; inside = 1; next
  }
  /^```/ && inside {
    inside = 0
    directory = path; sub(/\/[^\/]*$/, "", directory); system("mkdir -p " directory)
    if (after == "") { printf "%s", text > path; close(path); next }
    old = ""; found = 0
    while ((getline line < path) > 0) {
      old = old line "\n"
      if (!found && index(line, after) == 1) { old = old text; found = 1 }
    }
    close(path)
    if (!found) { print "no line begins with: " after > "/dev/stderr"; exit 1 }
    printf "%s", old > path; close(path); next
  }
  inside { text = text $0 "\n" }
' docs/adding.md

. src/build/setup.sh
# What is as it was comes from the cache: the same options and relative paths as the release preset's.
export CCACHE_BASEDIR=$scratch
cmake -S "$scratch" -B "$scratch/build/adding" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
  -DCMAKE_COMPILE_WARNING_AS_ERROR=ON -DTYTO_TESTS=OFF \
  -DTYTO_EXAMPLES=OFF -DTYTO_INSTALL=OFF -DTYTO_CUDA=OFF $(cache_options) >/dev/null
cmake --build "$scratch/build/adding"

# Its CUDA kernels, by the host's compiler.
g++ -std=c++20 -fsyntax-only -x c++ -I"$scratch/tests/fake_cuda" -I"$scratch" -I"$scratch/include" \
  "$scratch/build/adding/generated/cuda_q8_owl.cu"

cat >"$scratch/check.cpp" <<'EOF'
#include <algorithm>

#include "cpu/kernel_table.h"
#include "src/arch/arch.h"
#include "src/sample/stage.h"

int main() {
  const auto named = [](const auto& list, std::string_view name) {
    return std::any_of(list.begin(), list.end(), [&](const auto* entry) { return entry->name == name; });
  };
  return named(tyto::arch::families(), "owl") && named(tyto::quant::formats(), "q8_owl") &&
                 named(tyto::sample::stages(), "top_a")
             ? 0
             : 1;
}
EOF
g++ -std=c++20 -I"$scratch" -I"$scratch/include" "$scratch/check.cpp" "$scratch/build/adding/libtyto.a" -lfmt -lpthread \
  -o "$scratch/check"
"$scratch/check"
echo "docs/adding.md works as written"
