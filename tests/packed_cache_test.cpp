// The cache of packed files that a load keeps in a directory of the host's.
#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/catch.h"
#include "tests/packing_place.h"

using namespace tyto;
using namespace tyto::test;
namespace fs = std::filesystem;
using Place = PackingPlace;

TEST_CASE("A cache holds a model after its first load", "[packed][packed_cache]") {
  const Place place;
  const ModelOptions options = place.cached();
  const std::vector<float> expected = logits(Model::load(place.source, place.options).value());
  CHECK(place.entries().empty());
  const MemoryPlan first = Model::plan(place.source, options).value();
  CHECK(place.entries().empty());  // a plan writes nothing
  CHECK(first.devices.at(0).mapped == 0);
  {
    const Model model = Model::load(place.source, options).value();
    CHECK(place.memory->held == allocated(first));
    CHECK(logits(model) == expected);
  }
  REQUIRE(place.entries().size() == 1);
  const MemoryPlan second = Model::plan(place.source, options).value();
  CHECK(second.devices.at(0).mapped == first.devices.at(0).weights);
  CHECK(second.devices.at(0).weights == 0);
  for (const bool verify : {false, true}) {
    ModelOptions again = options;
    again.verify_packed = verify;
    const Model model = Model::load(place.source, again).value();
    CHECK(place.memory->held == allocated(second));
    CHECK(model.memory().devices.at(0).mapped == second.devices.at(0).mapped);
    CHECK(logits(model) == expected);
  }
  CHECK(place.entries().size() == 1);
  CHECK(place.log->count(LogLevel::warning) == 0);
  // What it holds is what Model::pack writes.
  CHECK(file_content(place.entries()[0]) == file_content(place.packed()));
  // Another path to the same bytes, and the same time.
  fs::copy_file(place.source, place.path("copy.gguf"));
  fs::last_write_time(place.path("copy.gguf"), fs::last_write_time(place.source));
  CHECK(Model::plan(place.path("copy.gguf"), options)->devices.at(0).mapped > 0);
}

TEST_CASE("A damaged or stale cache entry is replaced", "[packed][packed_cache]") {
  const Place place;
  const ModelOptions options = place.cached();
  const std::vector<float> expected = logits(Model::load(place.source, options).value());
  const std::string entry = place.entries().at(0);
  const Bytes good = bytes_of(entry);
  const auto mapped = [&](const ModelOptions& with) {
    const Model model = Model::load(place.source, with).value();
    CHECK(logits(model) == expected);
    return model.memory().devices.at(0).mapped > 0;
  };
  CHECK(mapped(options));
  Bytes flipped = good;
  flipped[300] ^= std::byte{4};
  const Bytes bad[] = {
      {},
      Bytes(100, std::byte{7}),
      Bytes(good.begin(), good.end() - 1),
      flipped,
      with_header(good, [](auto& h) { ++h.layout; }),
      with_header(good, [](auto& h) { ++h.source_modified; }),
      with_header(good, [](auto& h) { ++h.source_bytes; }),
      bytes_of(place.source),
  };
  for (const Bytes& content : bad) {
    fs::remove(entry);
    place.write(fs::relative(entry, place.path("")).string(), text(content));
    CHECK_FALSE(mapped(options));
    CHECK(bytes_of(entry) == good);
    CHECK(mapped(options));
  }
  // Weights that changed: seen where the whole hash is asked for.
  Bytes other = good;
  other[other.size() - 500] ^= std::byte{1};
  fs::remove(entry);
  place.write(fs::relative(entry, place.path("")).string(), text(other));
  ModelOptions verify = options;
  verify.verify_packed = true;
  CHECK_FALSE(mapped(verify));
  CHECK(bytes_of(entry) == good);
  CHECK(mapped(verify));
  CHECK(place.entries().size() == 1);
}

TEST_CASE("A source that changed is packed anew", "[packed][packed_cache]") {
  const Place place;
  const ModelOptions options = place.cached();
  const std::vector<float> before = logits(Model::load(place.source, options).value());
  // The same header, size and name, other weights.
  TinyLlama other = kShape;
  other.seed = 2;
  place.write("tiny.gguf", text(tiny_file(other)));
  fs::last_write_time(place.source, fs::last_write_time(place.source) + std::chrono::seconds(5));
  const std::vector<float> plain = logits(Model::load(place.source, place.options).value());
  CHECK(plain != before);
  CHECK(logits(Model::load(place.source, options).value()) == plain);
  CHECK(logits(Model::load(place.source, options).value()) == plain);
}

TEST_CASE("Without a time of change the content tells sources apart", "[packed][packed_cache]") {
  const Place place;
  const ModelOptions options = place.cached();
  TinyLlama other = kShape;
  other.seed = 2;
  const Bytes one = tiny_file(kShape), two = tiny_file(other);
  const auto load = [&](const Bytes& bytes, const ModelOptions& with) {
    const Model model = Model::load(memory_source(bytes).value(), with).value();
    return std::pair(logits(model), model.memory().devices.at(0).mapped > 0);
  };
  const auto a = load(one, place.options).first, b = load(two, place.options).first;
  CHECK(a != b);
  CHECK(load(one, options) == std::pair(a, false));
  CHECK(load(one, options) == std::pair(a, true));
  CHECK(load(two, options) == std::pair(b, false));
  CHECK(load(two, options) == std::pair(b, true));
}

TEST_CASE("A cache that cannot be written is a warning", "[packed][packed_cache]") {
  const Place place;
  ModelOptions options = place.options;
  const std::vector<float> expected = logits(Model::load(place.source, options).value());
  for (const std::string& directory : {place.path("none"), place.source, std::string("/proc")}) {
    const int before = place.log->count(LogLevel::warning, "packed cache");
    options.packed_cache = directory;
    CHECK(logits(Model::load(place.source, options).value()) == expected);
    CHECK(place.log->count(LogLevel::warning, "packed cache") == before + 1);
  }
  // The reference backend has no packed form.
  options.device = "reference";
  options.packed_cache = place.cache();
  CHECK(Model::load(place.source, options));
  CHECK(place.entries().empty());
}

TEST_CASE("Many loads may fill one cache at once", "[packed][packed_cache]") {
  const Place place;
  ModelOptions options = place.cached();
  options.runtime = nullptr;  // each its own
  const std::vector<float> expected = logits(Model::load(place.source, place.options).value());
  std::atomic<int> same{0};
  std::vector<std::thread> threads;
  constexpr int kThreads = 4, kLoads = 6;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kLoads; ++i) {
        const auto model = Model::load(place.source, options);
        if (!model) continue;
        Session session = model->new_session().value();
        const std::vector<TokenId> prompt{1, 260, 270, 280, 290};
        if (!session.append(prompt) || !session.prefill()) continue;
        same += std::equal(session.logits().begin(), session.logits().end(), expected.begin());
        std::error_code ignored;
        if (t == 0 && i % 2 == 0)
          for (const std::string& entry : place.entries()) fs::remove(entry, ignored);
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(same == kThreads * kLoads);
  const auto left = place.entries();
  CHECK(left.size() <= 1);
  for (const std::string& entry : left) CHECK(entry.ends_with(".tyto"));
}
