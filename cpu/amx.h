// Permission to use AMX, Intel's matrix tiles.
#pragma once

namespace tyto::cpu {

// True if this process may use AMX-INT8 tiles from now on. Asks the operating system, once per
// call; see amx.cpp.
bool enable_amx_int8() noexcept;

}  // namespace tyto::cpu
