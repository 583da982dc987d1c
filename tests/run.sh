#!/usr/bin/env bash
# Installs what is missing (Debian, as root or with sudo), builds tyto and runs its tests. Run again, it builds
# what changed; the tests take some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
. src/build/setup.sh

need "${build_packages[@]}"
say "Building (build/release)"
cmake --preset release -Wno-dev --log-level=WARNING $(cache_options)
cmake --build --preset release
say "Testing"
ctest --preset release "$@"
