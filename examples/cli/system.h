// What the program needs of the operating system.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "tyto/host.h"

namespace cli {

bool stdin_is_terminal() noexcept;
bool stdout_is_terminal() noexcept;
bool stderr_is_terminal() noexcept;

// All of a file; "-" is stdin. Throws tyto::Exception.
std::string read_file(const std::string& path);

// To stdout, at once. Throws OutputError.
void write_out(std::string_view text);

std::uint64_t peak_resident_bytes() noexcept;

// The calling thread stays on one of the cores this process may use; which, counts round.
void pin_this_thread(int index) noexcept;

// Ctrl-C: the first requests `cancel`, the second ends the program with kInterrupted. SIGPIPE ends
// it quietly.
void handle_signals(tyto::Cancel& cancel) noexcept;

}  // namespace cli
