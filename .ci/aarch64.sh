#!/usr/bin/env bash
# The kernels of 64-bit ARM: cross-compiled, and tested under QEMU as processors with I8MM, with DotProd alone and with
# neither.
set -euo pipefail
cd "$(dirname "$0")/.."
. src/build/setup.sh
need "${build_packages[@]}" g++-aarch64-linux-gnu qemu-user
cmake --preset aarch64 -Wno-dev $(cache_options)
cmake --build --preset aarch64
logs=build/aarch64/logs
mkdir -p "$logs"

# run CPU ISA TESTS: those tests of an instruction set, on a processor.
run() {
  echo "${2:-best} on $1:"
  QEMU_CPU=$1 TYTO_FORCE_ISA=$2 qemu-aarch64 -L /usr/aarch64-linux-gnu build/aarch64/tyto_tests "$3"
}
rest() {
  run max neon '~[bits]~"A fork and its origin go on as if each were alone",[linear]'  # the fork takes a minute
  run neoverse-n1 neon "[linear]"
  run max scalar "[block],[quant]"
  run cortex-a57 neon "[cpu]"
  run cortex-a57 "" "The best table is one of those that the machine has"
}

# Emulation is slow: one half on each of two cores.
run max neon "[cpu][bits]~[linear]" >"$logs/bits" 2>&1 &
rest >"$logs/rest" 2>&1 || die "$(tail -n 40 "$logs/rest")"
wait $! || die "$(tail -n 40 "$logs/bits")"

cat "$logs/bits" "$logs/rest" | grep -E '^([a-z]+ on|All tests passed)'
! sed '/neoverse-n1/,$d' "$logs/rest" | grep -q 'skipped: neon' || die "QEMU's processor 'max' lacks I8MM"
[ "$(grep -c 'skipped: neon does not run here' "$logs/rest")" = 1 ] || die "a processor without DotProd runs the NEON table"
