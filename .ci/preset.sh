#!/usr/bin/env bash
# preset.sh NAME: configures, builds and tests one of CMakePresets.json.
set -euo pipefail
cd "$(dirname "$0")/.."
. src/build/setup.sh
cmake --preset "$1" $(cache_options)
cmake --build --preset "$1"
ctest --preset "$1"
