#!/usr/bin/env bash
# Builds a stranger's project (this folder) against tyto in every way it may come by it.
# run.sh BUILD_DIR: a configured and built tyto, with both kinds of library.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
build=$(cd "$1" && pwd)
. "$source/src/build/setup.sh"
work=$source/build/consumer
rm -rf "$work"*
mkdir -p "$work"

# consume NAME CMAKE_OPTIONS...: configures, builds and runs the stranger.
consume() {
  local name=$1
  shift
  say "$name"
  cmake -G Ninja -S "$here" -B "$work-$name" -DCMAKE_BUILD_TYPE=Release -DCMAKE_COMPILE_WARNING_AS_ERROR=ON \
    --log-level=WARNING --no-warn-unused-cli $(cache_options) "$@" >/dev/null
  cmake --build "$work-$name" -- --quiet
  "$work-$name/stranger"
  "$work-$name/stranger_no_exceptions"
  if [ -x "$work-$name/stranger_cuda" ]; then "$work-$name/stranger_cuda"; fi
}
# expect_message TEXT CMAKE_OPTIONS...: configuring fails, and says TEXT.
expect_message() {
  local text=$1 output
  shift
  say "Refused: $text"
  if output=$(cmake -G Ninja -S "$here" -B "$work-refused" --fresh "$@" 2>&1); then die "was not refused"; fi
  tr -s ' \n' ' ' <<<"$output" | grep -qF "$text" || die "$output"
}

# Moved after installing: nothing in the package may know where it was.
cmake --install "$build" --prefix "$work/installed" >/dev/null
mv "$work/installed" "$work/prefix"
installed=(-DCONSUMER_USES=package -DCMAKE_PREFIX_PATH="$work/prefix")
consume package-static "${installed[@]}" -DCONSUMER_COMPONENTS=static
consume package-shared "${installed[@]}" -DCONSUMER_COMPONENTS=shared -DCMAKE_DISABLE_FIND_PACKAGE_fmt=ON
consume package-default "${installed[@]}" -DBUILD_SHARED_LIBS=ON
ldd "$work-package-default/stranger" | grep -q libtyto.so || die "BUILD_SHARED_LIBS=ON did not choose the shared library"
expect_message "tyto has no component 'vulkan': there are static, shared and cuda." "${installed[@]}" \
  -DCONSUMER_COMPONENTS=vulkan
has_cuda=
if [ -f "$work/prefix/include/tyto/cuda.h" ]; then has_cuda=yes; fi
if [ "$has_cuda" ]; then
  consume package-cuda-static "${installed[@]}" -DCONSUMER_COMPONENTS="static;cuda"
  consume package-cuda-shared "${installed[@]}" -DCONSUMER_COMPONENTS="shared;cuda"
else
  expect_message "This tyto was built without its component 'cuda'" "${installed[@]}" -DCONSUMER_COMPONENTS=cuda
fi

# by_pkg_config PACKAGE SOURCE: builds and runs it by pkg-config alone, shared and static.
by_pkg_config() {
  local libdir
  say "pkg-config $1"
  libdir=$(pkg-config --variable=libdir "$1")
  c++ -std=c++20 -O1 "$2" $(pkg-config --cflags --libs "$1") -Wl,-rpath,"$libdir" -o "$work/by-shared"
  "$work/by-shared"
  c++ -std=c++20 -O1 "$2" $(pkg-config --static --cflags --libs "$1" | sed "s:-L$libdir:-L$work/only-static:g") -o "$work/by-static"
  "$work/by-static"
  if ldd "$work/by-static" | grep libtyto; then die "--static linked the shared library"; fi
}
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name tyto.pc)")
export PKG_CONFIG_PATH
mkdir "$work/only-static"
cp "$work"/prefix/lib*/libtyto*.a "$work/only-static"
by_pkg_config tyto "$here/main.cpp"
if [ "$has_cuda" ]; then by_pkg_config tyto-cuda "$here/cuda.cpp"; fi

consume subdirectory -DCONSUMER_USES=subdirectory -DTYTO_SOURCE="$source"
consume subdirectory-shared -DCONSUMER_USES=subdirectory -DTYTO_SOURCE="$source" -DBUILD_SHARED_LIBS=ON
consume fetch -DCONSUMER_USES=fetch -DTYTO_SOURCE="$source"
cmake --install "$work-fetch" --prefix "$work/guest" >/dev/null
[ "$(find "$work/guest" -type f | wc -l)" = 1 ] || die "tyto installs itself with the project that uses it"
