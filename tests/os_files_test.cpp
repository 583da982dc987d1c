#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "src/file/tensor_source.h"
#include "tests/catch.h"

using namespace tyto;

namespace {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tyto-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

void refuses(const std::string& path, ErrorCode code, std::string_view why) {
  const auto file = file::os_files().open(path);
  REQUIRE_FALSE(file.has_value());
  INFO(file.error().message());
  CHECK(file.error().code() == code);
  CHECK(file.error().message().find(why) != std::string_view::npos);
  CHECK(file.error().message().find(path.substr(0, path.find('\0'))) != std::string_view::npos);
}

}  // namespace

TEST_CASE("A file is read at any offset", "[file]") {
  const TemporaryFolder folder;
  std::ofstream(folder.file("digits")) << "0123456789";
  const auto file = file::os_files().open(folder.file("digits")).value();
  CHECK(file->size().value() == 10);
  char text[4] = {};
  REQUIRE(file->read(5, std::as_writable_bytes(std::span(text, 3))));
  CHECK(std::string(text) == "567");
  CHECK(file->read(8, std::as_writable_bytes(std::span(text, 3))).error().code() == ErrorCode::io);
  CHECK(file->read(UINT64_MAX, std::as_writable_bytes(std::span(text, 3))).error().code() ==
        ErrorCode::io);
  CHECK(file->read(10, {}).has_value());
}

TEST_CASE("What is no regular file is refused", "[file]") {
  const TemporaryFolder folder;
  refuses(folder.file("missing"), ErrorCode::io, "no such file");
  refuses(folder.path(), ErrorCode::bad_file, "a directory");
  REQUIRE(mkfifo(folder.file("pipe").c_str(), 0600) == 0);
  refuses(folder.file("pipe"), ErrorCode::bad_file, "regular");  // and nobody waits for a writer
  refuses("/dev/zero", ErrorCode::bad_file, "regular");
  refuses("", ErrorCode::io, "no such file");
  CHECK(file::os_files().open(std::string_view("a\0b", 3)).error().code() ==
        ErrorCode::bad_argument);
}

TEST_CASE("A file cut short after it was opened is an io error", "[file]") {
  const TemporaryFolder folder;
  std::ofstream(folder.file("digits")) << "0123456789";
  const auto file = file::os_files().open(folder.file("digits")).value();
  std::filesystem::resize_file(folder.file("digits"), 6);
  char text[8] = {};
  const auto read = file->read(2, std::as_writable_bytes(std::span(text)));
  REQUIRE_FALSE(read.has_value());
  CHECK(read.error().code() == ErrorCode::io);
}

TEST_CASE("Memory is a file", "[file]") {
  const char text[] = "0123";
  const auto source = memory_source(std::as_bytes(std::span(text, 4))).value();
  CHECK(source->size().value() == 4);
  char two[2] = {};
  REQUIRE(source->read(2, std::as_writable_bytes(std::span(two))));
  CHECK(two[1] == '3');
  CHECK(source->read(3, std::as_writable_bytes(std::span(two))).error().code() == ErrorCode::io);
  CHECK(source->read(UINT64_MAX, std::as_writable_bytes(std::span(two))).error().code() ==
        ErrorCode::io);
  CHECK(memory_source({}).has_value());
  CHECK(memory_source({static_cast<const std::byte*>(nullptr), 4}).error().code() ==
        ErrorCode::bad_argument);
}
