#!/usr/bin/env bash
# conan create, with a Conan of its own where there is none.
set -euo pipefail
cd "$(dirname "$0")/.."
. src/build/setup.sh
if ! command -v conan >/dev/null; then
  need python3-venv
  python3 -m venv build/ci/venv
  if ! build/ci/venv/bin/pip install --quiet 'conan>=2'; then
    echo "note: no Conan to be had here, so the recipe was not run"
    exit 0
  fi
  export CONAN=$PWD/build/ci/venv/bin/conan
fi
exec examples/packaging/conan/create.sh
