#!/usr/bin/env bash
# Runs `conan create` for the static and the shared library, with the system's fmt and without any remote.
# Needs conan 2 and what a build needs. Everything it makes lies in build/conan.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. src/build/setup.sh

conan=${CONAN:-conan}
command -v "$conan" >/dev/null || die "There is no conan here: pip install conan"
export CONAN_HOME=$PWD/build/conan
export CMAKE_GENERATOR=Ninja
if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_BASEDIR=$CONAN_HOME; fi

"$conan" profile detect --force
"$conan" remote disable '*'
"$conan" export examples/packaging/conan/fmt
printf '%s\n' 'include(default)' '[settings]' 'build_type=Release' 'compiler.cppstd=20' \
  '[replace_requires]' 'fmt/*: fmt/9.1.0@system' \
  '[conf]' "tools.cmake.cmake_layout:test_folder=$CONAN_HOME/test" 'tools.cmake.cmaketoolchain:user_presets=' >"$CONAN_HOME/profiles/system-fmt"
for shared in False True; do
  say "conan create, shared=$shared"
  "$conan" create . -pr:a system-fmt -o "tyto/*:shared=$shared" --build=missing
done
