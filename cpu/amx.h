// Permission to use AMX, Intel's matrix tiles.
#pragma once

namespace tyto::cpu {

// True if this process may use AMX tiles of int8 and bfloat16 from now on. Asks the operating
// system, once per call; see amx.cpp.
bool enable_amx() noexcept;

}  // namespace tyto::cpu
