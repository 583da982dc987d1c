// What the generated files of NEON include.
#pragma once
#include "cpu/simd/neon.h"
// then:
#include "cpu/kernels/linear-inl.h"
// then:
#include "cpu/kernels/byte_matrices-inl.h"
