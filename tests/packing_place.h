// Tests of packed files: a folder with a tiny model in it, and what a load of it says and takes.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "src/file/packed.h"
#include "tests/catch.h"
#include "tests/scratch_folder.h"
#include "tests/tiny_model.h"

namespace tyto::test {

inline constexpr TinyLlama kShape{.context = 64};  // Q4_0, Q8_0 and F32

inline std::string text(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline Bytes bytes_of(const std::string& path) {
  const std::string content = file_content(path);
  const auto* data = reinterpret_cast<const std::byte*>(content.data());
  return {data, data + content.size()};
}

class LogLines : public LogSink {
 public:
  void write(LogLevel level, std::string_view line) noexcept override {
    const std::lock_guard lock(mutex_);
    lines_.emplace_back(level, line);
  }
  // Those of a level that contain `part`.
  int count(LogLevel level, std::string_view part = "") const {
    return static_cast<int>(std::count_if(lines_.begin(), lines_.end(), [&](const auto& line) {
      return line.first == level && line.second.find(part) != std::string::npos;
    }));
  }

 private:
  std::mutex mutex_;
  std::vector<std::pair<LogLevel, std::string>> lines_;
};

class Counting : public Allocator {
 public:
  void* allocate(std::size_t bytes, std::size_t alignment) noexcept override {
    held += bytes;
    return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  }
  void deallocate(void* block, std::size_t bytes) noexcept override {
    held -= bytes;
    std::free(block);
  }
  std::atomic<std::uint64_t> held{0};
};

struct PackingPlace : ScratchFolder {
  explicit PackingPlace(const TinyLlama& shape = kShape)
      : source(write("tiny.gguf", text(tiny_file(shape)))) {
    std::filesystem::create_directory(cache());
    RuntimeOptions runtime;
    runtime.threads = 2;
    runtime.host.log = log;
    runtime.host.allocator = memory;
    options.isa = isa_under_test();
    options.cache_tokens = 64;
    options.limits = {.rows = 16, .sequences = 2};
    options.runtime = Runtime::create(runtime).value();
  }
  std::string cache() const { return path("cache"); }
  ModelOptions cached() const {
    ModelOptions with = options;
    with.packed_cache = cache();
    return with;
  }
  std::string packed() const {
    REQUIRE(Model::pack(source, path("tiny.tyto"), options));
    return path("tiny.tyto");
  }
  std::vector<std::string> entries() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(cache()))
      found.push_back(entry.path().string());
    return found;
  }

  std::shared_ptr<LogLines> log = std::make_shared<LogLines>();
  std::shared_ptr<Counting> memory = std::make_shared<Counting>();
  ModelOptions options;
  std::string source;
};

// The logits of a prompt and of a few single tokens after it.
inline std::vector<float> logits(const Model& model) {
  Session session = model.new_session().value();
  std::vector<float> all;
  for (const std::vector<TokenId>& some :
       {std::vector<TokenId>{1, 260, 270, 280, 290}, {5}, {299}}) {
    REQUIRE(session.append(some));
    REQUIRE(session.prefill());
    all.insert(all.end(), session.logits().begin(), session.logits().end());
  }
  return all;
}

inline std::uint64_t allocated(const MemoryPlan& plan) {
  const MemoryPlan::Device& device = plan.devices.at(0);
  return device.weights + device.cache + device.workspace;
}

inline void refused(const Result<Model>& model, std::initializer_list<ErrorCode> codes,
                    std::initializer_list<std::string_view> words = {}) {
  if (model) FAIL("accepted");
  const std::string message(model.error().message());
  INFO(name(model.error().code()) << ": " << message);
  CHECK(std::find(codes.begin(), codes.end(), model.error().code()) != codes.end());
  for (const std::string_view word : words) CHECK(message.find(word) != std::string::npos);
}

inline constexpr ErrorCode kBad = ErrorCode::bad_file, kOther = ErrorCode::mismatch;

// A packed file whose header is changed, and consistent with itself again.
inline Bytes with_header(Bytes bytes, const std::function<void(file::PackedHeader&)>& change) {
  file::PackedHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  change(header);
  const auto directory =
      std::span(bytes).subspan(sizeof header, static_cast<std::size_t>(header.directory_bytes));
  header.header_hash = file::hash_header(header, directory);
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

}  // namespace tyto::test
