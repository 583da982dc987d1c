// The scalar ISA: plain C++ for the baseline.
#pragma once
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define TYTO_ISA scalar
#define TYTO_ISA_BEGIN
#define TYTO_ISA_END
