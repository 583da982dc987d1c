// What the generated files of the scalar ISA include.
#pragma once
#include "cpu/simd/scalar.h"
// then:
#include "cpu/kernels/linear_scalar-inl.h"
