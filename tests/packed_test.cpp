// Packed files: the same model as the file they were made of, and never another one's.
#include <cstring>
#include <filesystem>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/allocations.h"
#include "tests/catch.h"
#include "tests/faulty_source.h"
#include "tests/packing_place.h"

using namespace tyto;
using namespace tyto::test;
namespace fs = std::filesystem;
using Place = PackingPlace;

namespace {

// A source that can only be read.
class ReadOnly : public FaultySource {
 public:
  explicit ReadOnly(const Bytes& bytes) : FaultySource(memory_source(bytes).value(), -1) {}
};

// The same with the fingerprint of what its directory holds now.
Bytes with_fingerprint(const Bytes& bytes) {
  const auto packed = file::PackedFile::open(memory_source(bytes).value(), "changed");
  if (!packed) return bytes;
  const auto model = file::open_gguf((*packed)->headers(), "changed");
  if (!model) return bytes;
  const std::string fingerprint = (*model)->fingerprint();
  return with_header(bytes, [&](file::PackedHeader& header) {
    std::copy(fingerprint.begin(), fingerprint.end(), header.fingerprint.begin());
  });
}

}  // namespace

TEST_CASE("A packed file gives the same bits as its source", "[packed]") {
  for (const std::uint32_t type : {kQ4_0, kF32, kF16, kQ6_K}) {
    const bool super = type == kQ6_K;
    const Place place({.width = super ? 256u : 64u, .ff = 256, .context = 64, .weight_type = type});
    const Model model = Model::load(place.source, place.options).value();
    const Model packed = Model::load(place.packed(), place.options).value();
    CHECK(logits(packed) == logits(model));
    CHECK(packed.describe() == model.describe());
    CHECK(packed.fingerprint() == model.fingerprint());
    CHECK(packed.tokenizer().encode("the hat").value() ==
          model.tokenizer().encode("the hat").value());
    ModelOptions verified = place.options;
    verified.verify_packed = true;
    CHECK(Model::load(place.packed(), verified));
  }
}

TEST_CASE("A packed file is used where it lies in memory, and otherwise read", "[packed]") {
  const Place place;
  const std::vector<float> expected = logits(Model::load(place.source, place.options).value());
  const Bytes bytes = bytes_of(place.packed());
  // Weights in memory begin at a multiple of 64.
  const auto place_at = [&](std::vector<std::byte>& room, std::size_t odd) {
    room.resize(bytes.size() + 128);
    const auto at = reinterpret_cast<std::uintptr_t>(room.data());
    const std::span<std::byte> placed(room.data() + (64 - at % 64) % 64 + odd, bytes.size());
    std::copy(bytes.begin(), bytes.end(), placed.begin());
    return memory_source(placed).value();
  };
  std::vector<std::byte> room, other_room;

  const MemoryPlan plan = Model::plan(place.source, place.options).value();
  const std::uint64_t weights = plan.devices.at(0).weights;
  const auto check = [&](std::shared_ptr<const FileSource> source, bool mapped) {
    const MemoryPlan packed = Model::plan(source, place.options).value();
    CHECK(packed.devices.at(0).mapped == (mapped ? weights : 0));
    CHECK(packed.devices.at(0).weights == (mapped ? 0 : weights));
    CHECK(packed.devices.at(0).cache == plan.devices.at(0).cache);
    CHECK(packed.devices.at(0).workspace == plan.devices.at(0).workspace);
    CHECK(place.memory->held == 0);
    const Model model = Model::load(source, place.options).value();
    source.reset();  // the model keeps what it needs
    CHECK(place.memory->held == allocated(packed));
    CHECK(allocated(model.memory()) == allocated(packed));
    CHECK(logits(model) == expected);
  };
  check(place_at(room, 0), true);
  check(place_at(other_room, 1), false);
  check(std::make_shared<ReadOnly>(bytes), false);
  check(file::os_files().open(place.packed()).value(), true);
}

TEST_CASE("Progress of a packed file ends at 1, and can cancel", "[packed]") {
  const Place place;
  const Bytes bytes = bytes_of(place.packed());
  for (const bool mapped : {true, false}) {
    const auto source = [&]() -> std::shared_ptr<const FileSource> {
      if (mapped) return file::os_files().open(place.path("tiny.tyto")).value();
      return std::make_shared<ReadOnly>(bytes);
    }();
    ModelOptions options = place.options;
    float last = 0;
    options.progress = [&](float fraction) { return last = fraction, true; };
    CHECK(Model::load(source, options));
    CHECK(last == 1.0f);
    options.progress = [](float) { return false; };
    refused(Model::load(source, options), {ErrorCode::cancelled});
  }
  ModelOptions options = place.options;
  options.progress = [](float) { return false; };
  CHECK(Model::pack(place.source, place.path("never.tyto"), options).error().code() ==
        ErrorCode::cancelled);
  CHECK_FALSE(fs::exists(place.path("never.tyto")));
}

TEST_CASE("A packed file cut off anywhere is refused", "[packed][bad]") {
  const Place place;
  const Bytes bytes = bytes_of(place.packed());
  std::vector<std::size_t> cuts;
  for (std::size_t cut = 0; cut < 400; ++cut) cuts.push_back(cut);
  for (std::size_t cut = 400; cut < bytes.size(); cut += 397) cuts.push_back(cut);
  cuts.push_back(bytes.size() - 1);
  for (const std::size_t cut : cuts) {
    INFO("at " << cut);
    refused(Model::load(memory_source(std::span(bytes).first(cut)).value(), place.options), {kBad},
            {"memory"});
  }
  Bytes longer = bytes;
  longer.push_back(std::byte{0});
  refused(Model::load(memory_source(longer).value(), place.options), {kBad});
}

TEST_CASE("A packed file with a flipped bit in its header is refused", "[packed][bad]") {
  const Place place;
  Bytes bytes = bytes_of(place.packed());
  file::PackedHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  const std::size_t end = sizeof header + static_cast<std::size_t>(header.directory_bytes);
  for (std::size_t at = 0; at < end; at += at < sizeof header ? 1 : 61) {
    for (const std::byte bit : {std::byte{1}, std::byte{0x80}}) {
      INFO("byte " << at);
      bytes[at] ^= bit;
      refused(Model::load(memory_source(bytes).value(), place.options),
              {kBad, ErrorCode::unsupported});
      bytes[at] ^= bit;
    }
  }
}

TEST_CASE("A packed file's header that contradicts itself is refused, however it is signed",
          "[packed][bad]") {
  using Header = file::PackedHeader;
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  const struct {
    const char* tries;
    ErrorCode code;
    std::string_view named;
    void (*change)(Header&);
  } cases[] = {
      {"another version", ErrorCode::unsupported, "version 2", [](Header& h) { h.version = 2; }},
      {"another layout", kOther, "layout", [](Header& h) { h.layout ^= 1 << 30; }},
      {"other places", kOther, "layout", [](Header& h) { h.places[1] ^= 1; }},
      {"a table that nobody has", kOther, "'cpu owl'",
       [](Header& h) { h.table = {'c', 'p', 'u', ' ', 'o', 'w', 'l'}; }},
      {"a table without an end", kOther, "zzzz", [](Header& h) { h.table.fill('z'); }},
      {"no files", kBad, "0 files", [](Header& h) { h.files = 0; }},
      {"a second file", kBad, "", [](Header& h) { h.files = 2; }},
      {"more files than there is room for", kBad, "files", [](Header& h) { h.files = kMax; }},
      {"weights past the end", kBad, "weights", [](Header& h) { h.weights_bytes += 64; }},
      {"weights of all there is", kBad, "weights", [](Header& h) { h.weights_bytes = kMax; }},
      {"weights that begin early", kBad, "",
       [](Header& h) {
         h.weights_bytes += h.weights_offset;
         h.weights_offset = 0;
       }},
      {"weights at an odd place", kBad, "4096",
       [](Header& h) {
         h.weights_bytes += 64;
         h.weights_offset -= 64;
       }},
      {"fewer weights than the model has", kOther, "bytes",
       [](Header& h) {
         h.weights_bytes -= 4096;
         h.weights_offset += 4096;
       }},
      {"another fingerprint", kBad, "fingerprint", [](Header& h) { h.fingerprint[3] ^= 1; }},
  };
  const Place place;
  const Bytes bytes = bytes_of(place.packed());
  for (const auto& c : cases) {
    INFO(c.tries);
    const Bytes changed = with_header(bytes, c.change);
    refused(Model::load(memory_source(changed).value(), place.options), {c.code},
            {"memory", c.named});
  }
  // A directory that promises more than it has.
  for (const std::size_t word : {0, 1}) {
    Bytes changed = bytes;
    const std::uint64_t value = word == 0 ? 10 : kMax;
    std::memcpy(&changed[sizeof(Header) + word * 8], &value, sizeof value);
    changed = with_header(changed, [](Header&) {});
    const AllocationWatch watch;
    refused(Model::load(memory_source(changed).value(), place.options), {kBad}, {"memory"});
    CHECK(watch.peak_bytes() < bytes.size() + (1 << 20));
  }
}

TEST_CASE("Random changes of a signed directory end in an answer", "[packed][bad]") {
  const Place place;
  const Bytes bytes = bytes_of(place.packed());
  int loaded = 0;
  for (std::uint32_t seed = 0; seed < 1000; ++seed) {
    std::mt19937 random(seed);
    Bytes changed = bytes;
    for (int i = 0; i < 2; ++i)
      changed[sizeof(file::PackedHeader) + random() % 600] ^= std::byte(1u << random() % 8);
    changed = with_fingerprint(with_header(changed, [](file::PackedHeader&) {}));
    const auto model = Model::load(memory_source(changed).value(), place.options);
    if (!model) continue;
    ++loaded;
    auto session = model->new_session();
    if (session && session->append(std::vector<TokenId>{1}))
      static_cast<void>(session->prefill().has_value());
  }
  CHECK(loaded > 10);  // some of it is text that may be anything
}

TEST_CASE("Changed weights are noticed where the whole hash is asked for", "[packed][bad]") {
  const Place place;
  Bytes bytes = bytes_of(place.packed());
  bytes[bytes.size() - 1000] ^= std::byte{1};
  ModelOptions options = place.options;
  CHECK(Model::load(memory_source(bytes).value(), options));
  options.verify_packed = true;
  refused(Model::load(memory_source(bytes).value(), options), {kBad}, {"hash"});
}

TEST_CASE("A packed file is for one device and instruction set", "[packed]") {
  const Place place;
  const std::string packed = place.packed();
  ModelOptions options = place.options;
  options.device = "reference";
  refused(Model::load(packed, options), {kOther}, {packed, "reference", "cpu "});
  options.device = "auto";
  options.cache_type = CacheType::f16;  // avx512 and amx share files, and the bits but for BF16
  const std::vector<float> expected = logits(Model::load(packed, options).value());
  for (const Isa isa : {Isa::best, Isa::scalar, Isa::avx2, Isa::avx512, Isa::amx}) {
    options.isa = isa;  // best: whatever the file has
    const auto model = Model::load(packed, options);
    if (model)
      CHECK(logits(*model) == expected);
    else
      refused(model, {kOther, ErrorCode::unsupported});
    if (isa == Isa::best) CHECK(model);
  }
  options.isa = isa_under_test();
  options.device = "reference";
  CHECK(Model::pack(place.source, place.path("x"), options).error().code() ==
        ErrorCode::unsupported);
}

TEST_CASE("Only a packed file is replaced by one", "[packed]") {
  const Place place;
  const auto code = [&](const std::string& in, const std::string& out) {
    const auto done = Model::pack(in, out, place.options);
    return done ? ErrorCode::ok : done.error().code();
  };
  const Bytes before = bytes_of(place.source);
  CHECK(code(place.source, place.source) == ErrorCode::bad_argument);
  CHECK(bytes_of(place.source) == before);
  CHECK(code(place.source, place.path("")) == kBad);
  CHECK(code(place.source, place.path("none/x")) == ErrorCode::io);
  CHECK(code(place.source, "") != ErrorCode::ok);
  CHECK(code(place.path("missing"), place.path("x")) == ErrorCode::io);
  const std::string packed = place.write("packed", "");
  CHECK(code(place.source, packed) == ErrorCode::ok);
  CHECK(code(place.source, packed) == ErrorCode::ok);
  CHECK(code(packed, place.path("again")) == ErrorCode::bad_argument);
  int files = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(place.path(""))) ++files;
  CHECK(files == 3);  // tiny.gguf, packed, cache: nothing half done
}

TEST_CASE("A split model is packed into one file", "[packed]") {
  const Place place;
  GgufWriter shards[2] = {tiny_llama(kShape), GgufWriter()};
  std::vector<GgufTensor>& tensors = shards[0].tensors;
  const auto half = static_cast<std::ptrdiff_t>(tensors.size() / 2);
  shards[1].tensors.assign(tensors.begin() + half, tensors.end());
  tensors.erase(tensors.begin() + half, tensors.end());
  for (std::uint16_t i = 0; i < 2; ++i) {
    shards[i].set("split.no", i);
    shards[i].set("split.count", std::uint16_t{2});
    place.write("s-0000" + std::to_string(i + 1) + "-of-00002.gguf", text(shards[i].file()));
  }
  const std::string first = place.path("s-00001-of-00002.gguf"), packed = place.path("s.tyto");
  REQUIRE(Model::pack(first, packed, place.options));
  fs::remove(place.path("s-00002-of-00002.gguf"));
  const std::string whole = place.write("whole.gguf", text(tiny_llama(kShape).file()));
  CHECK(logits(Model::load(packed, place.options).value()) ==
        logits(Model::load(whole, place.options).value()));
}

TEST_CASE("Weights that are no numbers are not packed", "[packed][bad]") {
  GgufWriter writer = tiny_llama(kShape);
  const std::uint16_t nan = 0x7E00;
  std::memcpy(&writer.tensor("blk.0.attn_q.weight").data[18], &nan, sizeof nan);
  const Place place;
  const std::string bad = place.write("bad.gguf", text(writer.file()));
  const auto done = Model::pack(bad, place.path("x"), place.options);
  CHECK(done.error().code() == kBad);
  CHECK(done.error().message().find("blk.0.attn_q.weight") != std::string::npos);
  CHECK_FALSE(fs::exists(place.path("x")));
}
