#!/usr/bin/env bash
# Installs what is missing (Debian, as root or with sudo), builds the tyto program, and lets it tell a story with the
# model that is compiled into it. Options go to `tyto run`: demo.sh -p "One day, a dragon" -n 100
set -euo pipefail
cd "$(dirname "$0")/.."
. src/build/setup.sh

need "${build_packages[@]}"
if [ ! -x build/release/examples/tyto ]; then
  say "Building the tyto program (build/release/examples/tyto)" >&2
  cmake --preset release -Wno-dev --log-level=WARNING $(cache_options) >/dev/null
  cmake --build --preset release --target tyto_program >&2
else
  cmake --build --preset release --target tyto_program -- --quiet >&2
fi
if [ $# -gt 0 ]; then
  build/release/examples/tyto run "$@"
else
  build/release/examples/tyto run -n 200
fi
