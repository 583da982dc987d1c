// AMX instructions as the processor meets them: bytes of code and general registers.
#pragma once
#include <ucontext.h>

#include "tests/fake_amx/tiles.h"

namespace fake_amx {

// Does what the instruction at `context` says and moves on to the next. False: it is none of those
// that the kernels use, and nothing is changed.
bool execute(ucontext_t& context, Tiles& tiles);

}  // namespace fake_amx
