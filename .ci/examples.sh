#!/usr/bin/env bash
# The examples tell their stories.
set -euo pipefail
cd "$(dirname "$0")/.."
. src/build/setup.sh
story=$(build/release/examples/hello examples/models/story.gguf)
[ "${#story}" -gt 200 ] || die "hello tells nothing: $story"
story=$(bash examples/demo.sh -n 40 --seed 1 2>/dev/null)
[ "${#story}" -gt 80 ] || die "the demo tells nothing: $story"
