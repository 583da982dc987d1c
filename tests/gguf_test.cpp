#include <cstdlib>
#include <filesystem>
#include <string>

#include "src/file/quoted.h"
#include "src/file/tensor_source.h"
#include "tests/catch.h"
#include "tests/gguf_writer.h"

using namespace tyto;
using namespace tyto::test;

namespace {

Bytes floats(std::size_t count) {
  Bytes bytes;
  for (std::size_t i = 0; i < count; ++i) put(bytes, static_cast<float>(i));
  return bytes;
}

GgufWriter small_file() {
  GgufWriter writer;
  writer.set("general.architecture", "llama");
  writer.set("a.u32", std::uint32_t{7});
  writer.set("a.negative", std::int16_t{-3});
  writer.set("a.f32", 0.5f);
  writer.set("a.flag", true);
  writer.set("a.texts", std::vector<std::string>{"one", "", "three"});
  writer.set("a.floats", std::vector<float>{1, 2.5f});
  writer.set("a.doubles", std::vector<double>{1, 2.5});
  writer.set("a.ints", std::vector<std::int32_t>{-1, 2});
  writer.set("a.bytes", std::vector<std::uint8_t>{0, 255});
  writer.set("a.longs", std::vector<std::uint64_t>{1, 1 << 30});
  writer.set("a.wide", std::vector<std::uint64_t>{1, std::uint64_t{1} << 40});
  writer.add_tensor("first", {2, 5}, kF32, floats(10));
  writer.add_tensor("second", {3}, kF32, floats(3));
  return writer;
}

std::unique_ptr<file::ModelFile> open(const GgufWriter& writer) {
  return file::open_gguf(as_source(writer.file()), "small.gguf", nullptr).value();
}

}  // namespace

TEST_CASE("Values are read as what they were written", "[gguf]") {
  const auto file = open(small_file());
  const file::Metadata& metadata = file->metadata();
  CHECK(metadata.text("general.architecture").value() == "llama");
  CHECK(metadata.integer("a.u32").value() == 7);
  CHECK(metadata.number("a.negative").value() == -3);
  CHECK(metadata.number("a.f32").value() == 0.5);
  CHECK(metadata.flag("a.flag").value());
  const file::TextArray texts = metadata.texts("a.texts").value();
  REQUIRE(texts.size() == 3);
  CHECK(texts[0] == "one");
  CHECK(texts[1].empty());
  CHECK(texts[2] == "three");
  CHECK(metadata.numbers("a.floats").value()[1] == 2.5f);
  CHECK(metadata.numbers("a.doubles").value()[1] == 2.5f);
  CHECK(metadata.integers("a.ints").value()[0] == -1);
  CHECK(metadata.integers("a.longs").value()[1] == 1 << 30);
  CHECK(metadata.integer_or("absent", 3).value() == 3);
}

TEST_CASE("A value of another type is refused by key", "[gguf]") {
  const auto file = open(small_file());
  const file::Metadata& metadata = file->metadata();
  const auto refuses = [](const auto& result, std::string_view key) {
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code() == ErrorCode::bad_file);
    CHECK(std::string(result.error().message()).find(key) != std::string::npos);
    CHECK(std::string(result.error().message()).find("small.gguf") != std::string::npos);
  };
  refuses(metadata.integer("general.architecture"), "general.architecture");
  refuses(metadata.integer("a.negative"), "a.negative");
  refuses(metadata.integer("a.f32"), "a.f32");
  refuses(metadata.integer_or("a.f32", 1), "a.f32");
  refuses(metadata.flag("a.u32"), "a.u32");
  refuses(metadata.texts("a.floats"), "a.floats");
  refuses(metadata.numbers("a.bytes"), "a.bytes");
  refuses(metadata.integers("a.wide"), "a.wide");
  refuses(metadata.integers("a.bytes"), "a.bytes");
  refuses(metadata.integers("a.floats"), "a.floats");
  refuses(metadata.text("absent"), "absent");
}

TEST_CASE("Tensors are found by name and read in pieces", "[gguf]") {
  const auto file = open(small_file());
  REQUIRE(file->tensors().size() == 2);
  const file::TensorInfo* first = file->find("first");
  REQUIRE(first != nullptr);
  CHECK(first->shape == std::vector<std::int64_t>{2, 5});
  CHECK(first->bytes == 40);
  CHECK(first->type_name == "f32");
  CHECK(file->find("third") == nullptr);
  const file::TensorInfo* second = file->find("second");
  REQUIRE(second != nullptr);
  float value = 0;
  REQUIRE(file->read(*second, 8, std::as_writable_bytes(std::span(&value, 1))));
  CHECK(value == 2.0f);
  CHECK(file->read(*second, 9, std::as_writable_bytes(std::span(&value, 1))).error().code() ==
        ErrorCode::bad_argument);
}

namespace {

// A header, and zeros as far as anybody wants.
class SparseSource : public FileSource {
 public:
  SparseSource(Bytes header, std::uint64_t size) : header_(std::move(header)), size_(size) {}
  Result<std::uint64_t> size() const override { return size_; }
  Result<> read(std::uint64_t offset, std::span<std::byte> into) const override {
    for (std::size_t i = 0; i < into.size(); ++i)
      into[i] = offset + i < header_.size() ? header_[offset + i] : std::byte{0};
    last_offset = offset;
    return {};
  }
  mutable std::uint64_t last_offset = 0;

 private:
  Bytes header_;
  std::uint64_t size_;
};

}  // namespace

TEST_CASE("Tensors beyond 4 GiB are found", "[gguf]") {
  constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
  GgufWriter writer;
  writer.add_tensor("large", {1024, 5 * kGiB / 4 / 1024}, kF32, {});
  writer.add_tensor("after", {8}, kF32, {});
  writer.tensors[1].offset = 5 * kGiB;
  const Bytes header = writer.header();
  const auto source = std::make_shared<SparseSource>(header, header.size() + 6 * kGiB);
  const auto file = file::open_gguf(source, "large.gguf", nullptr).value();
  CHECK(file->find("large")->bytes == 5 * kGiB);
  std::byte four[4];
  REQUIRE(file->read(*file->find("after"), 28, four));
  CHECK(source->last_offset == (header.size() + 31) / 32 * 32 + 5 * kGiB + 28);
}

TEST_CASE("A tensor type that is not registered is named and sized", "[gguf]") {
  GgufWriter writer;
  writer.add_tensor("known", {2, 256}, 23, Bytes(2 * 136));
  writer.add_tensor("unknown", {7}, 99, Bytes(32));
  const auto file = open(writer);
  const file::TensorInfo* known = file->find("known");
  CHECK(known->type_name == "iq4_xs");
  CHECK(known->bytes == 2 * 136);
  const file::TensorInfo* unknown = file->find("unknown");
  CHECK(unknown->format == nullptr);
  CHECK(unknown->type_name == "type 99");
  CHECK(unknown->bytes == 0);
}

TEST_CASE("The fingerprint sees metadata and directory, not weights", "[gguf]") {
  GgufWriter writer = small_file();
  const std::string base = open(writer)->fingerprint();
  CHECK(base.size() == 32);
  writer.tensors[0].data[3] = std::byte{9};
  CHECK(open(writer)->fingerprint() == base);
  writer.tensors[0].name = "other";
  CHECK(open(writer)->fingerprint() != base);
  writer = small_file();
  writer.set("a.texts", std::vector<std::string>{"onet", "", "hree"});
  CHECK(open(writer)->fingerprint() != base);
}

TEST_CASE("Names from a file are made fit for a message", "[gguf]") {
  CHECK(file::quoted("caf\u00e9") == "'caf\u00e9'");
  CHECK(file::quoted("a\nb") == "'a\\x0ab'");
  CHECK(file::quoted("a\xff\xc3") == "'a\\xff\\xc3'");
  CHECK(file::quoted("caf\u00e9", 4) == "'caf...'");
}

TEST_CASE("Files in the wild open", "[gguf]") {
  const char* data = std::getenv("TYTO_TEST_DATA");
  if (data == nullptr) {
    WARN("skipped: TYTO_TEST_DATA is not set");
    return;
  }
  int opened = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(data)) {
    if (entry.path().extension() != ".gguf") continue;
    INFO(entry.path().string());
    const std::string path = entry.path().string();
    const auto source = file::os_files().open(path).value();
    const auto file = file::open_gguf(source, path, &file::os_files());
    if (!file) FAIL(std::string(file.error().message()));
    const file::Metadata& metadata = (*file)->metadata();
    CHECK(metadata.texts("tokenizer.ggml.tokens").value().size() > 100);
    CHECK(metadata.has("general.architecture"));
    for (std::size_t i = 0; i < metadata.size(); ++i) CHECK_FALSE(metadata.describe(i).empty());
    ++opened;
  }
  CHECK(opened > 0);
}
