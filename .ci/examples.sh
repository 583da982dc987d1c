#!/usr/bin/env bash
# The examples say something, and the README's hello is examples/hello.cpp as it stands.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "$(build/release/examples/hello examples/models/story.gguf)" ]
[ -n "$(bash examples/demo.sh 2>/dev/null)" ]
python3 - <<'PYTHON'
import pathlib
import sys

if pathlib.Path("examples/hello.cpp").read_text() not in pathlib.Path("README.md").read_text():
    sys.exit("README.md does not show examples/hello.cpp as it is")
PYTHON
