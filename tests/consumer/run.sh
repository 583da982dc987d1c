#!/usr/bin/env bash
# Builds a stranger's project (this folder) against tyto in every way it may come by it.
# run.sh BUILD_DIR: a configured and built tyto, with both kinds of library.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
build=$(cd "$1" && pwd)
. "$source/src/build/setup.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# consume NAME CMAKE_OPTIONS...: configures, builds and runs the stranger.
consume() {
  local name=$1
  shift
  say "$name"
  cmake -G Ninja -S "$here" -B "$work/$name" -DCMAKE_BUILD_TYPE=Release --log-level=WARNING --no-warn-unused-cli \
    $(cache_options) "$@" >/dev/null
  cmake --build "$work/$name" -- --quiet
  "$work/$name/stranger"
  "$work/$name/stranger_no_exceptions"
}
# expect_message TEXT CMAKE_OPTIONS...: configuring fails, and says TEXT.
expect_message() {
  local text=$1 output
  shift
  say "Refused: $text"
  if output=$(cmake -G Ninja -S "$here" -B "$work/refused" --fresh "$@" 2>&1); then die "was not refused"; fi
  tr -s ' \n' ' ' <<<"$output" | grep -qF "$text" || die "$output"
}

# Moved after installing: nothing in the package may know where it was.
cmake --install "$build" --prefix "$work/installed" >/dev/null
mv "$work/installed" "$work/prefix"
installed=(-DCONSUMER_USES=package -DCMAKE_PREFIX_PATH="$work/prefix")
consume package-static "${installed[@]}" -DCONSUMER_COMPONENTS=static
consume package-shared "${installed[@]}" -DCONSUMER_COMPONENTS=shared -DCMAKE_DISABLE_FIND_PACKAGE_fmt=ON
consume package-default "${installed[@]}" -DBUILD_SHARED_LIBS=ON
ldd "$work/package-default/stranger" | grep -q libtyto.so || die "BUILD_SHARED_LIBS=ON did not choose the shared library"
expect_message "tyto has no component 'vulkan': there are static, shared and cuda." "${installed[@]}" \
  -DCONSUMER_COMPONENTS=vulkan
if ! ls "$work"/prefix/lib*/libtyto-cuda.* >/dev/null 2>&1; then
  expect_message "This tyto was built without its component 'cuda'" "${installed[@]}" -DCONSUMER_COMPONENTS=cuda
fi

say "pkg-config"
pkg_config_path=$(dirname "$(find "$work/prefix" -name tyto.pc)")
export PKG_CONFIG_PATH=$pkg_config_path
compile=(c++ -std=c++20 -O1 "$here/main.cpp")
"${compile[@]}" $(pkg-config --cflags --libs tyto) -Wl,-rpath,"$(pkg-config --variable=libdir tyto)" -o "$work/by-shared"
"$work/by-shared"
libdir=$(pkg-config --variable=libdir tyto)
mkdir "$work/no-shared" && cp "$libdir"/libtyto.a "$work/no-shared"
"${compile[@]}" $(pkg-config --cflags tyto) -L"$work/no-shared" $(pkg-config --static --libs tyto | sed "s:-L$libdir::") \
  -o "$work/by-static"
"$work/by-static"

consume subdirectory -DCONSUMER_USES=subdirectory -DTYTO_SOURCE="$source"
consume subdirectory-shared -DCONSUMER_USES=subdirectory -DTYTO_SOURCE="$source" -DBUILD_SHARED_LIBS=ON
consume fetch -DCONSUMER_USES=fetch -DTYTO_SOURCE="$source"
cmake --install "$work/fetch" --prefix "$work/guest" >/dev/null
[ "$(find "$work/guest" -type f | wc -l)" = 1 ] || die "tyto installs itself with the project that uses it"
