#!/usr/bin/env bash
# The benchmarks compile and start. Nothing is timed here.
set -euo pipefail
cd "$(dirname "$0")/.."
. src/build/setup.sh
need libbenchmark-dev
cmake --preset release -Wno-dev --log-level=WARNING -DTYTO_BENCHMARKS=ON $(cache_options)
cmake --build --preset release --target tyto_bench_roofs tyto_bench_kernels
build/release/benchmarks/tyto_bench_kernels --benchmark_list_tests | grep multiply/scalar/q4_0/1 >/dev/null
python3 benchmarks/run.py --help >/dev/null
python3 benchmarks/regress.py --help >/dev/null
