// Binary files that are written and read in parts.
#pragma once
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <type_traits>

namespace cli {

struct FileCloser {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

// Throws OutputError.
class BinaryWriter {
 public:
  explicit BinaryWriter(const std::string& path);
  template <class T>
  void write(std::span<const T> values) {
    static_assert(std::is_trivially_copyable_v<T>);
    write_bytes(values.data(), values.size_bytes());
  }
  void close();  // where all of it has to be on disk

 private:
  void write_bytes(const void* data, std::size_t bytes);
  std::string path_;
  std::unique_ptr<std::FILE, FileCloser> file_;
};

// Throws tyto::Exception: `io`, or `bad_file` where the file ends too early.
class BinaryReader {
 public:
  explicit BinaryReader(const std::string& path);
  template <class T>
  void read(std::span<T> values) {
    static_assert(std::is_trivially_copyable_v<T>);
    read_bytes(values.data(), values.size_bytes());
  }

 private:
  void read_bytes(void* data, std::size_t bytes);
  std::string path_;
  std::unique_ptr<std::FILE, FileCloser> file_;
};

}  // namespace cli
