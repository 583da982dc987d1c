#include <fmt/format.h>

#include <map>
#include <string>

#include "src/file/tensor_source.h"
#include "tests/catch.h"
#include "tests/gguf_writer.h"

using namespace tyto;
using namespace tyto::test;

namespace {

class MapFiles : public FileSystem {
 public:
  std::map<std::string, Bytes, std::less<>> files;
  Result<std::shared_ptr<const FileSource>> open(std::string_view path) const override {
    const auto found = files.find(path);
    if (found == files.end()) return Error(ErrorCode::io, std::string(path) + ": no such file");
    return as_source(found->second);
  }
};

std::string shard_path(int index, int count) {
  return "models/tiny-0000" + std::to_string(index + 1) + "-of-0000" + std::to_string(count) +
         ".gguf";
}

// Shard i holds one tensor, "t<i>", of the values i, i + 1.
GgufWriter shard(int index, int count) {
  GgufWriter writer;
  if (index == 0) writer.set("general.architecture", "llama");
  writer.set("split.no", static_cast<std::uint16_t>(index));
  writer.set("split.count", static_cast<std::uint16_t>(count));
  writer.set("split.tensors.count", std::int32_t{count});
  Bytes values;
  put(values, static_cast<float>(index));
  put(values, static_cast<float>(index + 1));
  writer.add_tensor(fmt::format("t{}", index), {2}, kF32, values);
  return writer;
}

MapFiles three_shards() {
  MapFiles files;
  for (int i = 0; i < 3; ++i) files.files[shard_path(i, 3)] = shard(i, 3).file();
  return files;
}

Result<std::unique_ptr<file::ModelFile>> open_path(const MapFiles& files, const std::string& path) {
  return file::open_gguf(files.open(path).value(), path, &files);
}

void refuses(const MapFiles& files, const std::string& path, ErrorCode code,
             std::string_view place) {
  const auto file = open_path(files, path);
  REQUIRE_FALSE(file.has_value());
  INFO(file.error().message());
  CHECK(file.error().code() == code);
  CHECK(file.error().message().find(place) != std::string_view::npos);
}

}  // namespace

TEST_CASE("A split model is one model", "[gguf]") {
  const MapFiles files = three_shards();
  const auto file = open_path(files, shard_path(0, 3)).value();
  REQUIRE(file->tensors().size() == 3);
  CHECK(file->metadata().text("general.architecture").value() == "llama");
  for (int i = 0; i < 3; ++i) {
    const file::TensorInfo* tensor = file->find(fmt::format("t{}", i));
    REQUIRE(tensor != nullptr);
    float values[2] = {};
    REQUIRE(file->read(*tensor, 0, std::as_writable_bytes(std::span(values))));
    CHECK(values[0] == static_cast<float>(i));
    CHECK(values[1] == static_cast<float>(i + 1));
  }
}

TEST_CASE("A split model without its other files is refused by name", "[gguf]") {
  MapFiles files = three_shards();
  files.files.erase(shard_path(2, 3));
  refuses(files, shard_path(0, 3), ErrorCode::io, shard_path(2, 3));
  refuses(files, shard_path(1, 3), ErrorCode::bad_argument, "load the first one");
  const auto from_memory = file::open_gguf(as_source(shard(0, 3).file()), "memory", nullptr);
  REQUIRE_FALSE(from_memory.has_value());
  CHECK(from_memory.error().code() == ErrorCode::unsupported);
}

TEST_CASE("Shards that contradict each other are refused", "[gguf]") {
  MapFiles files = three_shards();
  SECTION("a shard of another model") {
    files.files[shard_path(1, 3)] = shard(1, 4).file();
    refuses(files, shard_path(0, 3), ErrorCode::bad_file, shard_path(1, 3));
  }
  SECTION("shards in another order") {
    std::swap(files.files[shard_path(1, 3)], files.files[shard_path(2, 3)]);
    refuses(files, shard_path(0, 3), ErrorCode::bad_file, shard_path(1, 3));
  }
  SECTION("the same tensor in two shards") {
    GgufWriter twin = shard(2, 3);
    twin.tensors[0].name = "t0";
    files.files[shard_path(2, 3)] = twin.file();
    refuses(files, shard_path(0, 3), ErrorCode::bad_file, "'t0' appears twice");
  }
  SECTION("fewer tensors than promised") {
    GgufWriter empty = shard(2, 3);
    empty.tensors.clear();
    files.files[shard_path(2, 3)] = empty.file();
    refuses(files, shard_path(0, 3), ErrorCode::bad_file, "split.tensors.count");
  }
  SECTION("a count of shards that the name does not have") {
    files.files["plain.gguf"] = shard(0, 3).file();
    refuses(files, "plain.gguf", ErrorCode::bad_file, "-00001-of-00003.gguf");
  }
  SECTION("no shards at all") {
    files.files["plain.gguf"] = shard(0, 0).file();
    refuses(files, "plain.gguf", ErrorCode::bad_file, "split.count");
  }
}

TEST_CASE("A file that is split into one needs no other", "[gguf]") {
  MapFiles files;
  files.files["plain.gguf"] = shard(0, 1).file();
  CHECK(open_path(files, "plain.gguf").has_value());
}
