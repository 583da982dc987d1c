// What the generated files of AVX-512 include.
#pragma once
#include "cpu/simd/avx512.h"
// then:
#include "cpu/kernels/linear-inl.h"
// then:
#include "cpu/kernels/quantized_tiles-inl.h"
// then:
#include "cpu/kernels/float_tiles-inl.h"
