// Text from a file, made fit for a message: in quotes, not too long, and valid UTF-8. Control
// characters and what is not UTF-8 are escaped.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace tyto::file {

std::string quoted(std::string_view text, std::size_t longest = 64);

}  // namespace tyto::file
