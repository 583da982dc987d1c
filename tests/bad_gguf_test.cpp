// What a GGUF header can lie about. Each case changes one thing of a valid file.
#include <cstdint>
#include <limits>

#include "src/base/error.h"
#include "src/file/tensor_source.h"
#include "tests/bad_file.h"
#include "tests/catch.h"
#include "tests/faulty_source.h"
#include "tests/mutants.h"

using namespace tyto;
using namespace tyto::test;

namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kHalf = std::uint64_t{1} << 63;
constexpr auto kBad = ErrorCode::bad_file;

Result<std::unique_ptr<file::ModelFile>> open(std::span<const std::byte> bytes) {
  return guarded([&]() -> Result<std::unique_ptr<file::ModelFile>> {
    auto source = memory_source(bytes);
    if (!source) return source.error();
    return file::open_gguf(*source, "bad.gguf", nullptr);
  });
}

void check_all(const std::vector<BadFile>& cases) {
  for (const BadFile& bad : cases) DYNAMIC_SECTION(bad.tries) {
      check_refused(bad, "bad.gguf", open);
    }
}

// The tiny llama with eight bytes replaced.
std::function<Bytes()> poke(std::size_t at, std::uint64_t value) {
  return [=] {
    Bytes bytes = tiny_llama().file();
    std::memcpy(&bytes[at], &value, sizeof value);
    return bytes;
  };
}

std::function<Bytes()> only(std::size_t size) {
  return [=] {
    Bytes bytes = tiny_llama().file();
    bytes.resize(size);
    return bytes;
  };
}

template <class T>
Bytes pack(std::initializer_list<T> values) {
  Bytes bytes;
  for (const T value : values) put(bytes, value);
  return bytes;
}

Bytes array_head(std::uint32_t type, std::uint64_t count) {
  Bytes bytes;
  put(bytes, type);
  put(bytes, count);
  return bytes;
}

// `depth` arrays, each the only element of the one around it; the innermost holds two u8.
Bytes nested(int depth) {
  Bytes bytes;
  for (int i = 1; i < depth; ++i) {
    put(bytes, kArray);
    put(bytes, std::uint64_t{1});
  }
  put(bytes, value_type<std::uint8_t>());
  put(bytes, std::uint64_t{2});
  put(bytes, std::uint16_t{0});
  return bytes;
}

std::function<Bytes()> raw_key(std::uint32_t type, Bytes value) {
  return edit([=](GgufWriter& file) { file.set_raw("some.key", type, value); });
}

template <class T>
std::function<Bytes()> alignment(T value) {
  return edit([=](GgufWriter& file) { file.set("general.alignment", value); });
}

std::function<Bytes()> extra(GgufTensor tensor) {
  return edit([=](GgufWriter& file) { file.tensors.push_back(tensor); });
}

std::function<Bytes()> offset_of_last(std::function<std::uint64_t(const GgufWriter&)> offset) {
  return edit([=](GgufWriter& file) { file.tensors.back().offset = offset(file); });
}

std::uint64_t true_offset_of_last(const GgufWriter& file) {
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i + 1 < file.tensors.size(); ++i)
    offset += (file.tensors[i].data.size() + 31) / 32 * 32;
  return offset;
}

}  // namespace

TEST_CASE("The file that all bad ones are made of is good", "[gguf][bad]") {
  CHECK(open(tiny_llama().file()).has_value());
  const TinyLlama wide{.width = 256, .ff = 256, .weight_type = kQ6_K};
  CHECK(open(tiny_llama(wide).file()).has_value());
}

TEST_CASE("A file that is no GGUF file, or not ours, is refused", "[gguf][bad]") {
  const auto version = [](std::uint32_t v) {
    return edit([=](GgufWriter& file) { file.version = v; });
  };
  check_all({
      {"an empty file", kBad, "first 24 bytes", only(0)},
      {"three bytes", kBad, "first 24 bytes", only(3)},
      {"magic GGUG", kBad, "GGUF", edit([](GgufWriter& file) { file.magic = 0x47554747; })},
      {"version 0", ErrorCode::unsupported, "version 0", version(0)},
      {"version 1", ErrorCode::unsupported, "version 1", version(1)},
      {"version 4", ErrorCode::unsupported, "version 4", version(4)},
      {"version 3 in the other byte order", ErrorCode::unsupported, "big-endian",
       version(0x03000000)},
  });
}

TEST_CASE("Counts beyond the file are refused before anything is taken for them", "[gguf][bad]") {
  check_all({
      {"2^60 keys", kBad, "keys", poke(16, std::uint64_t{1} << 60)},
      {"2^40 tensors", kBad, "tensors", poke(8, std::uint64_t{1} << 40)},
      {"2^64 - 1 tensors", kBad, "tensors", poke(8, kMax)},
      {"one key more than there is", kBad, "",
       edit([](GgufWriter& file) { file.key_count = file.keys.size() + 1; })},
      {"one tensor more than there is", kBad, "",
       edit([](GgufWriter& file) { file.tensor_count = file.tensors.size() + 1; })},
      {"more keys than are read", ErrorCode::limit, "keys", edit([](GgufWriter& file) {
         file.key_count = 70000;
         file.keys.resize(70000, {"k", 0, pack<std::uint8_t>({0})});
       })},
  });
}

TEST_CASE("Lengths beyond the file are refused", "[gguf][bad]") {
  const auto text_of = [](std::uint64_t length) {
    return raw_key(kString, pack<std::uint64_t>({length}));
  };
  check_all({
      {"first key of 2^64 - 8 bytes", kBad, "key 0", poke(24, kMax - 7)},
      {"first key of 2^63 bytes", kBad, "key 0", poke(24, kHalf)},
      {"first key one byte longer than the file", kBad, "key 0",
       [] {
         Bytes bytes = tiny_llama().file();
         bytes.resize(40000);
         const std::uint64_t length = bytes.size() - 32 + 1;
         std::memcpy(&bytes[24], &length, sizeof length);
         return bytes;
       }},
      {"a key without a name", kBad, "key 0",
       edit([](GgufWriter& file) { file.keys[0].key.clear(); })},
      {"a string of 2^64 - 8 bytes", kBad, "some.key", text_of(kMax - 7)},
      {"a string of 2^63 bytes", kBad, "some.key", text_of(kHalf)},
      {"a tensor without a name", kBad, "tensor 0",
       edit([](GgufWriter& file) { file.tensors[0].name.clear(); })},
  });
}

TEST_CASE("Values of no known type are refused", "[gguf][bad]") {
  const auto array = [](Bytes head, const Bytes& rest = {}) {
    append(head, rest.data(), rest.size());
    return raw_key(kArray, head);
  };
  constexpr std::uint64_t kLarge = std::uint64_t{1} << 60;
  check_all({
      {"value type 13", kBad, "some.key", raw_key(13, pack<std::uint8_t>({1}))},
      {"value type 2^32 - 1", kBad, "some.key", raw_key(0xFFFFFFFF, pack<std::uint8_t>({1}))},
      {"2^60 elements of type 13", kBad, "some.key", array(array_head(13, kLarge))},
      {"2^60 elements of u8", kBad, "some.key", array(array_head(0, kLarge))},
      {"2^60 strings", kBad, "some.key", array(array_head(kString, kLarge))},
      {"2^61 elements of u64, whose bytes wrap to 0", kBad, "some.key",
       array(array_head(10, kLarge * 2))},
      {"a bool of 2", kBad, "some.key", raw_key(kBool, pack<std::uint8_t>({2}))},
      {"a bool of 2 in an array", kBad, "some.key",
       array(array_head(kBool, 2), pack<std::uint8_t>({1, 2}))},
      {"a string of 2^63 bytes in an array", kBad, "some.key",
       array(array_head(kString, 2), pack<std::uint64_t>({0, kHalf}))},
      {"10,000 arrays in each other", ErrorCode::limit, "some.key", raw_key(kArray, nested(10000))},
      {"5 arrays in each other", ErrorCode::limit, "some.key", raw_key(kArray, nested(5))},
      {"an unknown type in an array of arrays", kBad, "some.key",
       array(array_head(kArray, 1), array_head(99, 0))},
      {"2^60 arrays in an array", kBad, "some.key", array(array_head(kArray, kLarge))},
      {"2^60 elements in an array of arrays", kBad, "some.key",
       array(array_head(kArray, 1), array_head(6, kLarge))},
  });
}

TEST_CASE("Names that appear twice are refused", "[gguf][bad]") {
  check_all({
      {"two alignments", kBad, "'general.alignment' appears twice", edit([](GgufWriter& file) {
         file.keys.push_back({"general.alignment", 4, pack<std::uint32_t>({32})});
         file.keys.push_back({"general.alignment", 4, pack<std::uint32_t>({64})});
       })},
      {"two tensors", kBad, "'output.weight' appears twice",
       edit([](GgufWriter& file) { file.tensors[1].name = "output.weight"; })},
  });
}

TEST_CASE("Alignments other than a power of two from 8 to 65536 are refused", "[gguf][bad]") {
  std::vector<BadFile> cases;
  for (const std::uint32_t value : {0u, 1u, 3u, 4u, 12u, 0x20000u, 0x80000000u})
    cases.push_back(
        {fmt::format("alignment {}", value), kBad, "general.alignment", alignment(value)});
  cases.push_back({"alignment of type i32", kBad, "i32", alignment(std::int32_t{32})});
  cases.push_back({"alignment of type string", kBad, "string", alignment("32")});
  cases.push_back({"alignment 2^63", kBad, "general.alignment", alignment(kHalf)});
  check_all(cases);
}

TEST_CASE("Shapes that overflow, or that their type cannot have, are refused", "[gguf][bad]") {
  const auto shape = [](std::vector<std::uint64_t> s, std::uint32_t type) {
    return extra({"x", s, type, Bytes(64)});
  };
  check_all({
      {"more than 2^64 values of i8", kBad, "'x'", shape({2, kHalf - 1}, 24)},
      {"q8_0 whose bytes wrap to 26", kBad, "'x'", shape({542551296285575072}, kQ8_0)},
      {"f32 whose bytes pad to 0, then a tensor of 32 bytes", kBad, "'x'",
       edit([](GgufWriter& file) {
         file.tensors.push_back({"x", {(std::uint64_t{1} << 62) - 1}, kF32, {}});
         file.tensors.push_back({"y", {8}, kF32, Bytes(32)});
       })},
      {"a width of 2^63", kBad, "'x'", shape({1, kHalf}, 24)},
      {"a product that wraps to 4", kBad, "'x'", shape({4194305, 4194305, 211106198978564}, kF32)},
      {"a product that is zero only after it wrapped", kBad, "'x'",
       shape({0, kHalf - 1, kHalf - 1}, kF32)},
      {"q6_K rows of 8 values", kBad, "'x'", shape({1, 8}, kQ6_K)},
      {"q4_0 rows of 33 values", kBad, "'x'", shape({1, 33}, kQ4_0)},
      {"no dimensions", kBad, "'x' has 0 dimensions", extra({"x", {1}, kF32, Bytes(32), 0})},
      {"5 dimensions", kBad, "'x' has 5 dimensions",
       extra({"x", {1, 1, 1, 1, 1}, kF32, Bytes(32)})},
      {"2^32 - 1 dimensions", kBad, "'x'", extra({"x", {1}, kF32, Bytes(32), 0xFFFFFFFF})},
  });
}

TEST_CASE("Tensors that are not where they can be are refused", "[gguf][bad]") {
  constexpr std::string_view kLast = "'output.weight'";
  check_all({
      {"an offset one too large", kBad, kLast,
       offset_of_last([](auto& f) { return true_offset_of_last(f) + 1; })},
      {"an offset of 2^64 - 32", kBad, kLast, offset_of_last([](auto&) { return kMax - 31; })},
      {"an offset at the end of the file", kBad, kLast, offset_of_last([](auto& f) {
         return true_offset_of_last(f) + f.tensors.back().data.size();
       })},
      {"the offset of the first", kBad, kLast, offset_of_last([](auto&) { return 0; })},
      {"an offset inside the one before", kBad, kLast,
       offset_of_last([](auto& f) { return true_offset_of_last(f) - 32; })},
      {"an offset without data", kBad, kLast, offset_of_last([](auto&) { return kHalf; })},
      {"the last tensor 32 bytes short", kBad, kLast, edit([](GgufWriter& file) {
         file.tensors.back().data.resize(file.tensors.back().data.size() - 32);
       })},
      {"a tensor of unknown type past the end", kBad, "'x'", edit([](GgufWriter& file) {
         file.tensors.push_back({"x", {32}, 99, Bytes(32), {}, std::uint64_t{1} << 30});
       })},
  });
}

TEST_CASE("What looks odd but is legal is read", "[gguf]") {
  const auto accepts = [](const char* tries, const std::function<Bytes()>& make) {
    INFO(tries);
    const Bytes bytes = make();
    const auto result = open(bytes);
    if (!result) FAIL(std::string(result.error().message()));
  };
  accepts("version 2", edit([](GgufWriter& file) { file.version = 2; }));
  accepts("a tensor without values", extra({"x", {0, 4}, kF32, {}}));
  accepts("two tensors without values, in one place", edit([](GgufWriter& file) {
            file.tensors.push_back({"x", {0, 4}, kF32, {}});
            file.tensors.push_back({"y", {4, 0}, kF32, {}});
          }));
  accepts("a tensor without values inside another", extra({"x", {0}, kF32, {}, {}, 32}));
  accepts("tensors in another order than their data", edit([](GgufWriter& file) {
            file.tensors.push_back({"x", {8}, kF32, Bytes(32)});
            const std::uint64_t at = true_offset_of_last(file);
            file.tensors.push_back({"y", {8}, kF32, Bytes(32), {}, at});
            file.tensors[file.tensors.size() - 2].offset = at + 32;
          }));
  accepts("an alignment of 64, as u64", edit([](GgufWriter& file) {
            file.alignment = 64;
            file.set("general.alignment", std::uint64_t{64});
          }));
  accepts("4 arrays in each other", raw_key(kArray, nested(4)));
  accepts("an array without elements", raw_key(kArray, array_head(kString, 0)));
  accepts("no keys and no tensors", [] { return GgufWriter().file(); });
  accepts("metadata alone, without padding", edit([](GgufWriter& file) { file.tensors.clear(); }));
  accepts("unknown tensor types", edit([](GgufWriter& file) {
            for (const std::uint32_t type : {4u, 31u, 99u, 0x80000000u})
              file.tensors.push_back({fmt::format("x{}", type), {32}, type, Bytes(32)});
          }));
}

TEST_CASE("A file cut at any byte of its header is refused", "[gguf][bad]") {
  const GgufWriter writer = tiny_llama();
  const Bytes whole = writer.file();
  const std::size_t header = writer.header().size();
  std::size_t accepted = 0, wrong_code = 0;
  for (std::size_t size = 0; size < whole.size(); size += size < header ? 1 : 4096) {
    const auto result = open(std::span(whole).first(size));
    accepted += result.has_value();
    wrong_code += !result && result.error().code() != kBad;
  }
  CHECK(accepted == 0);
  CHECK(wrong_code == 0);
}

TEST_CASE("Two thousand random changes of a header end in an answer", "[gguf][bad][allocations]") {
  GgufWriter writer = tiny_llama();
  for (std::uint32_t seed = 0; seed < 2000; ++seed) {
    if (seed ==
        1000)  // the vocabulary is most of the header; half of the changes are made without it
      std::erase_if(writer.keys,
                    [](const GgufKey& key) { return key.key.starts_with("tokenizer."); });
    const Bytes bytes = mutant(writer.file(), writer.header().size(), seed);
    const AllocationWatch watch;
    const auto file = open(bytes);
    bool within = watch.peak_bytes() <= bytes.size() + (1 << 20);
    if (file) {
      const file::Metadata& metadata = (*file)->metadata();
      for (std::size_t i = 0; i < metadata.size(); ++i) {
        const std::string_view key = metadata.key(i);
        within = within && !metadata.describe(i).empty() && metadata.has(key);
        // Each of these answers or refuses.
        static_cast<void>(metadata.integer(key).has_value() + metadata.number(key).has_value() +
                          metadata.texts(key).has_value() + metadata.numbers(key).has_value() +
                          metadata.integers(key).has_value());
      }
      for (const file::TensorInfo& tensor : (*file)->tensors()) {
        Bytes data(tensor.bytes);
        within = within && (*file)->read(tensor, 0, data).has_value();
      }
    }
    if (!within) FAIL("seed " << seed);
  }
  SUCCEED();
}

TEST_CASE("A read that fails while a header is read is an io error", "[gguf][bad]") {
  GgufWriter writer = tiny_llama({.vocab = 20000});  // a header of several windows
  const auto source = as_source(writer.file());
  std::int64_t fails = 0;
  for (;; ++fails) {
    const auto faulty = std::make_shared<FaultySource>(source, fails);
    const auto result = file::open_gguf(faulty, "bad.gguf", nullptr);
    if (faulty->reads() <= fails) break;  // it did not get so far
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code() == ErrorCode::io);
    CHECK(result.error().message().find("bad.gguf") != std::string_view::npos);
    CHECK(result.error().message().find("the disk is gone") != std::string_view::npos);
  }
  CHECK(fails > 3);
}

TEST_CASE("An allocation that fails while a header is read is no_memory",
          "[gguf][bad][allocations]") {
  const Bytes bytes = tiny_llama().file();
  for (std::int64_t fails = 0;; ++fails) {
    bool happened = false;
    const auto result = [&] {
      const AllocationFailure failure(fails);
      auto answer = open(bytes);
      happened = failure.happened();
      return answer;
    }();
    if (!happened) {
      CHECK(result.has_value());
      break;
    }
    if (result || result.error().code() != ErrorCode::no_memory) FAIL("allocation " << fails);
  }
}
