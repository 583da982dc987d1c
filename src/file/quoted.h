// Text from a file, made fit for a message: in quotes, control characters escaped, not too long.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace tyto::file {

std::string quoted(std::string_view text, std::size_t longest = 64);

}  // namespace tyto::file
