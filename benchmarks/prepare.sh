#!/usr/bin/env bash
# Makes what run.py measures: tyto and the benchmarks of its kernels (build/release), and in build/bench a Python
# environment, llama.cpp's libraries (peers/) and model files with random weights. What is there already is kept.
#   prepare.sh [SHAPE]      tinyllama-1.1b, if not given; llama-2-7b takes 40 GB
set -euo pipefail
cd "$(dirname "$0")/.."
. src/build/setup.sh

shape=${1:-tinyllama-1.1b} made=$PWD/build/bench version=0.3.36
source=$made/llama_cpp_python-$version
types=(F16 BF16 Q8_0 Q6_K Q5_K_M Q4_K_M Q4_0)

# peer NAME C C++ OPTION...: one build of llama.cpp's libraries.
peer() {
  local name=$1 c=$2 cxx=$3 build=$made/build-$1
  shift 3
  [ -e "$made/peers/$name/libllama.so" ] && return
  say "Building llama.cpp ($made/peers/$name); it takes a quarter of an hour"
  cmake -S "$source/vendor/llama.cpp" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON \
    -DCMAKE_C_COMPILER="$c" -DCMAKE_CXX_COMPILER="$cxx" -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TESTS=OFF \
    -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF "$@" >"$build.log"
  cmake --build "$build" --target llama >>"$build.log"
  mkdir -p "$made/peers"
  rm -rf "$made/peers/$name.part"
  mkdir "$made/peers/$name.part"
  cp -a "$build"/bin/*.so* "$made/peers/$name.part"
  mv "$made/peers/$name.part" "$made/peers/$name"
}

need "${build_packages[@]}" clang libomp-dev libbenchmark-dev python3-venv python3-dev
say "Building tyto (build/release)"
cmake --preset release -Wno-dev --log-level=WARNING -DTYTO_BENCHMARKS=ON $(cache_options)
cmake --build --preset release --target tyto_program tyto_bench_roofs tyto_bench_kernels

mkdir -p "$made"
[ -d "$made/venv" ] || python3 -m venv "$made/venv"
pip=("$made/venv/bin/pip" --quiet --disable-pip-version-check)
if [ ! -d "$source" ]; then
  say "Fetching llama-cpp-python $version, which brings llama.cpp's sources"
  "${pip[@]}" download --no-deps --no-binary :all: --dest "$made" "llama-cpp-python==$version"
  tar -xzf "$source.tar.gz" -C "$made"
fi
# Without libraries of its own: LLAMA_CPP_LIB_PATH names those to use.
CMAKE_ARGS="-DLLAMA_BUILD=OFF -DLLAVA_BUILD=OFF" "${pip[@]}" install "$source" gguf numpy matplotlib

# What g++ 12 makes of the AMX intrinsics crashes; that build leaves them out, and one by clang has them.
no_amx="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
peer native gcc g++ -DCMAKE_C_FLAGS="$no_amx" -DCMAKE_CXX_FLAGS="$no_amx"
if grep -qw amx_int8 /proc/cpuinfo; then
  peer native-amx clang clang++ -DCMAKE_C_FLAGS=-D__AMX_INT8__=1 -DCMAKE_CXX_FLAGS=-D__AMX_INT8__=1
fi
peer avx2 gcc g++ -DGGML_NATIVE=OFF -DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON \
  -DGGML_BMI2=ON -DGGML_AVX512=OFF

say "Writing model files ($made/models)"
LLAMA_CPP_LIB_PATH=$made/peers/native "$made/venv/bin/python" benchmarks/make_model.py "$made/models" --shape "$shape" \
  --types "${types[@]}"
say "Ready: python3 benchmarks/run.py"
