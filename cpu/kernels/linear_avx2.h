// What the generated files of AVX2 include.
#pragma once
#include "cpu/simd/avx2.h"
// then:
#include "cpu/kernels/linear-inl.h"
