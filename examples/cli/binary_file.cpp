#include "examples/cli/binary_file.h"

#include <cerrno>
#include <cstring>

#include "examples/cli/exit_code.h"
#include "tyto/result.h"

namespace cli {

BinaryWriter::BinaryWriter(const std::string& path) : file_(std::fopen(path.c_str(), "wb")) {
  if (file_ == nullptr) throw OutputError{path, errno};
  path_ = path;
}

void BinaryWriter::write_bytes(const void* data, std::size_t bytes) {
  if (std::fwrite(data, 1, bytes, file_.get()) != bytes) throw OutputError{path_, errno};
}

void BinaryWriter::close() {
  if (std::fclose(file_.release()) != 0) throw OutputError{path_, errno};
}

BinaryReader::BinaryReader(const std::string& path)
    : path_(path), file_(std::fopen(path.c_str(), "rb")) {
  if (file_ == nullptr)
    throw tyto::Exception(tyto::Error(tyto::ErrorCode::io, path + ": " + std::strerror(errno)));
}

void BinaryReader::read_bytes(void* data, std::size_t bytes) {
  if (std::fread(data, 1, bytes, file_.get()) == bytes) return;
  throw tyto::Exception(
      tyto::Error(tyto::ErrorCode::bad_file, path_ + ": the file ends too early"));
}

}  // namespace cli
