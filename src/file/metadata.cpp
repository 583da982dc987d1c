#include "src/file/metadata.h"

namespace tyto::file {

Result<std::uint64_t> Metadata::integer_or(std::string_view key, std::uint64_t otherwise) const {
  return has(key) ? integer(key) : otherwise;
}

Result<double> Metadata::number_or(std::string_view key, double otherwise) const {
  return has(key) ? number(key) : otherwise;
}

Result<bool> Metadata::flag_or(std::string_view key, bool otherwise) const {
  return has(key) ? flag(key) : otherwise;
}

Result<std::string_view> Metadata::text_or(std::string_view key, std::string_view otherwise) const {
  return has(key) ? text(key) : otherwise;
}

}  // namespace tyto::file
