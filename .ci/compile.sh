#!/usr/bin/env bash
# compile.sh NAME: configures and builds one of CMakePresets.json, and runs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
. src/build/setup.sh
cmake --preset "$1" $(cache_options)
cmake --build --preset "$1"
