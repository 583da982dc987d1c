# Sourced by the scripts that set themselves up. Does nothing on its own.

# Color only for a person: on a terminal that wants it.
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
  bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
  bold='' green='' red='' plain=''
fi
say() { printf '%s\n' "$bold==> $*$plain"; }
die() {
  printf '%s\n' "$red$*$plain" >&2
  exit 1
}

# What Debian calls the things that a build with tests and programs needs.
build_packages=(g++ cmake ninja-build ccache libfmt-dev catch2 libcli11-dev)

# need PACKAGE...: installs those Debian packages that are missing, and says which.
need() {
  if ! command -v apt-get >/dev/null; then
    say "No apt-get here, so nothing is installed. What is needed is what Debian calls: $*"
    return 0
  fi
  local missing=() as_root=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "Missing packages: ${missing[*]}. Install them as root: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "Installing with apt-get: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq || say "apt-get update failed; trying with the lists there are"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    >/dev/null || die "apt-get could not install: ${missing[*]}"
}

# Prints the CMake options that use a compiler cache, where there is one. Builds in build/<name> share what they compile:
# seen from there, all paths are the same.
CCACHE_BASEDIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export CCACHE_BASEDIR CCACHE_NOHASHDIR=1
cache_options() {
  command -v ccache >/dev/null && printf '%s\n' -DCMAKE_CXX_COMPILER_LAUNCHER=ccache
  return 0
}
