#!/usr/bin/env bash
# The overlay port, static and shared, through vcpkg_shim.cmake, and a stranger's project on what it installs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
. "$source/src/build/setup.sh"
work=$source/build/vcpkg
rm -rf "$work"*

for linkage in static shared; do
  say "vcpkg shim, $linkage"
  packages=$work-$linkage
  cmake -DCURRENT_PORT_DIR="$source/examples/packaging/vcpkg/ports/tyto" -DCURRENT_PACKAGES_DIR="$packages" \
    -DBUILD_DIR="$work-build-$linkage" -DLINKAGE=$linkage \
    -DSHIM_OPTIONS="-DCMAKE_COMPILE_WARNING_AS_ERROR=ON;$(cache_options)" -P "$here/vcpkg_shim.cmake"
  [ "$linkage" = static ] && unwanted='*.so*' || unwanted='*.a'
  [ -z "$(find "$packages" -name "$unwanted")" ] || die "a $linkage port installs $unwanted"
  cmake -G Ninja -S "$here" -B "$work-user-$linkage" -DCONSUMER_USES=package -DCMAKE_PREFIX_PATH="$packages" \
    --log-level=WARNING
  cmake --build "$work-user-$linkage"
  "$work-user-$linkage/stranger"
done
