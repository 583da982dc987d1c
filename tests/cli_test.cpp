// The tyto program, as scripts see it: exit codes, what goes to stdout, JSON, pipes, signals.
#if defined(TYTO_PROGRAM)
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <sstream>
#include <thread>

#include "tests/catch.h"
#include "tests/devices.h"
#include "tests/json_reader.h"
#include "tests/program.h"
#include "tests/sanitizers.h"
#include "tests/tiny_model.h"

using namespace tyto::test;

namespace {

// A folder with a tiny model in it, of `context` tokens.
struct Place : ScratchFolder {
  explicit Place(std::uint32_t context = 128) {
    const Bytes bytes = tiny_file({.context = context, .weight_type = kF32, .table_type = kF32});
    model = write("tiny.gguf", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  Outputs operator()(const Arguments& arguments, const std::string& input = "") const {
    return run_program(*this, arguments, input);
  }
  // stdout as JSON, of a command that succeeds.
  std::map<std::string, std::string> json(const Arguments& arguments,
                                          const std::string& input = "") const {
    const Outputs outputs = (*this)(arguments, input);
    INFO(outputs.out << outputs.err);
    CHECK(outputs.code == 0);
    const auto values = JsonReader::read(outputs.out);
    REQUIRE(values.has_value());
    return *values;
  }
  std::string model;
};

// [rows, columns] of a NumPy file.
std::vector<std::vector<float>> read_npy(const std::string& path) {
  const std::string content = file_content(path);
  REQUIRE(content.size() > 10);
  REQUIRE(content.substr(0, 8) == std::string("\x93NUMPY\x01\x00", 8));
  const std::size_t begin =
      10 + static_cast<unsigned char>(content[8]) + 256u * static_cast<unsigned char>(content[9]);
  REQUIRE(begin % 64 == 0);
  const std::string header = content.substr(10, begin - 10);
  REQUIRE(header.find("'descr': '<f4', 'fortran_order': False") != std::string::npos);
  std::size_t rows = 0, columns = 0;
  REQUIRE(std::sscanf(header.substr(header.find('(')).c_str(), "(%zu, %zu)", &rows, &columns) == 2);
  REQUIRE(content.size() == begin + rows * columns * sizeof(float));
  std::vector<std::vector<float>> matrix(rows, std::vector<float>(columns));
  for (std::size_t row = 0; row < rows; ++row)
    std::memcpy(matrix[row].data(), content.data() + begin + row * columns * sizeof(float),
                columns * sizeof(float));
  return matrix;
}

// -log(softmax(logits)[token])
double loss(const std::vector<float>& logits, std::size_t token) {
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit});
  return std::log(sum) - logits[token];
}

}  // namespace

TEST_CASE("Help and version are data and succeed", "[program]") {
  const ScratchFolder folder;
  for (const char* argument : {"--help", "--version"}) {
    const Outputs outputs = run_program(folder, {argument});
    CHECK(outputs.code == 0);
    CHECK(outputs.out.find("tyto") != std::string::npos);
    CHECK(outputs.err.empty());
  }
}

TEST_CASE("A wrong command line exits with 2 and leaves stdout empty", "[program]") {
  const Place place;
  const std::string& m = place.model;
  const Arguments cases[] = {
      {},
      {"nonsense"},
      {"run", "--bogus"},
      {"run", m, "-p", "a", "-t", "0"},
      {"run", m, "-p", "a", "--isa", "sse"},
      {"run", m, "-p", "a", "--kv", "int8"},
      {"run", m, "-p", "a", "--mem", "much"},
      {"run", m, "-p", "a", "--top-p", "7"},
      {"run", m, "-p", "a", "--temp", "nan"},
      {"run", m, "-p", "a", "-f", "b"},
      {"run", m},  // and nothing on stdin
      {"tokenize"},
      {"tokenize", m, "--decode", "-p", "1 two"},
      {"tokenize", m, "--decode", "-p", "300"},
      {"logits", m, "--out", "x"},
      {"logits", m, "--ids", "1", "-f", "y", "--out", "x"},
      {"logits", m, "--ids", "", "--out", "x"},
      {"logits", m, "--ids", "5 300", "--out", place.path("x")},
      {"perplexity", m},
      {"perplexity", m, "-f", "x", "--save", "y", "--kl", "z"},
      {"bench", m, "-b", "0"},
      {"bench", m, "-n", "0", "--stages"},
      {"bench", m, "--device", "reference", "--stages"},
      {"run", m, "-p", "a", "--device", "gpu"},
  };
  for (const Arguments& arguments : cases) {
    const Outputs outputs = place(arguments);
    INFO(Catch::StringMaker<Arguments>::convert(arguments) << outputs.err);
    CHECK(outputs.code == 2);
    CHECK(outputs.out.empty());
    CHECK_FALSE(outputs.err.empty());
  }
  CHECK(place({"nonsense"}).err.find("nonsense") != std::string::npos);
}

TEST_CASE("An instruction set that TYTO_FORCE_ISA makes up is a usage error", "[program]") {
  const Place place;
  const std::string before =
      std::getenv("TYTO_FORCE_ISA") != nullptr ? std::getenv("TYTO_FORCE_ISA") : "";
  ::setenv("TYTO_FORCE_ISA", "quantum", 1);
  CHECK(place({"run", place.model, "-p", "a", "-n", "1"}).code == 2);
  before.empty() ? ::unsetenv("TYTO_FORCE_ISA") : ::setenv("TYTO_FORCE_ISA", before.c_str(), 1);
}

TEST_CASE("Bad data exits with 65 and is named", "[program]") {
  const Place place;
  const std::string& m = place.model;
  const std::string text = place.write("text", "this is no model\n"),
                    empty = place.write("empty", "");
  const std::string missing = place.path("missing"), folder = place.path("");
  const std::pair<Arguments, std::string> cases[] = {
      {{"run", missing, "-p", "a"}, missing},
      {{"run", folder, "-p", "a"}, folder},
      {{"run", text, "-p", "a"}, text},
      {{"run", m, "-f", missing}, missing},
      {{"run", m, "-f", folder}, folder},
      {{"run", m, "-p", std::string(1000, 'q')}, "128"},  // longer than the context
      {{"run", m, "-p", "a", "--mem", "4k"}, "budget"},
      {{"tokenize", text, "-p", "a"}, text},
      {{"inspect", missing}, missing},
      {{"inspect", folder}, folder},
      {{"bench", empty}, empty},
      {{"logits", missing, "--ids", "1", "--out", place.path("x")}, missing},
      {{"perplexity", m, "-f", missing}, missing},
      {{"perplexity", m, "-f", text, "--kl", text}, text},
      {{"perplexity", m, "-f", text, "--kl", missing}, missing},
  };
  for (const auto& [arguments, named] : cases) {
    const Outputs outputs = place(arguments);
    INFO(Catch::StringMaker<Arguments>::convert(arguments) << outputs.err);
    CHECK(outputs.code == 65);
    CHECK(outputs.err.find(named) != std::string::npos);
    CHECK(outputs.err.find("tyto: ") != std::string::npos);
  }
}

TEST_CASE("With --json an error is an object, too", "[program]") {
  const Place place;
  const Outputs outputs = place({"run", place.path("missing"), "-p", "a", "--json"});
  CHECK(outputs.code == 65);
  auto values = JsonReader::read(outputs.out);
  REQUIRE(values.has_value());
  CHECK((*values)["schema"] == "tyto.error.v1");
  CHECK((*values)["code"] == "io");
}

TEST_CASE("run writes prompt and completion to stdout, and its speed to stderr", "[program]") {
  const Place place;
  const Outputs outputs = place({"run", place.model, "-p", "the hat", "-n", "20", "--seed", "3"});
  CHECK(outputs.code == 0);
  CHECK(outputs.out.find("the hat") == 0);
  CHECK(outputs.out.size() > 8);
  CHECK(outputs.err.find("tok/s") != std::string::npos);

  const std::string completion = outputs.out.substr(7);
  const Outputs quiet =
      place({"run", place.model, "-p", "the hat", "-n", "20", "--seed", "3", "--no-prompt"});
  CHECK(quiet.out == completion);
  const Outputs piped =
      place({"run", place.model, "-n", "20", "--seed", "3", "--no-prompt"}, "the hat");
  CHECK(piped.out == completion);
  const std::string file = place.write("prompt", "the hat");
  CHECK(place({"run", place.model, "-f", file, "-n", "20", "--seed", "3", "--no-prompt"}).out ==
        completion);
  CHECK(
      place({"run", place.model, "-p", "the hat", "-n", "20", "--seed", "4", "--no-prompt"}).out !=
      completion);
  CHECK(place({"run", place.model, "-p", "the hat", "-n", "0"}).out == "the hat");
}

TEST_CASE("run stops before a stop string, and where the context ends", "[program]") {
  const Place place;
  const Arguments base{"run", place.model, "-p", "the", "-n", "1000", "--no-prompt", "--json"};
  auto full = place.json(base);
  CHECK(full["stop"] == "context_full");
  const std::string text = full["text"];
  REQUIRE(text.size() > 6);
  Arguments stopping = base;
  for (const char c : text) {
    if (c < 'a' || c > 'z') continue;
    stopping.insert(stopping.end(), {"--stop", std::string(1, c)});
    auto stopped = place.json(stopping);
    CHECK(stopped["stop"] == "stop_string");
    CHECK(text.find(stopped["text"] + c) == 0);
    break;
  }
}

TEST_CASE("run --json tells text, tokens and times in one object", "[program]") {
  const Place place;
  auto values =
      place.json({"run", place.model, "-n", "5", "--json", "--temp", "0"}, "the \"hat\"\n\x80");
  CHECK(values["schema"] == "tyto.run.v1");
  CHECK(values["prompt"] == "the \\\"hat\\\"\\n\uFFFD");
  CHECK(values["tokens"] == "5");
  CHECK(std::stod(values["tokens.0.logprob"]) <= 0);
  CHECK(values["generated_tokens"] == "5");
  CHECK(values["stop"] == "max_tokens");
  CHECK(values["fingerprint"].size() == 32);
  CHECK(values.count("generated_tokens_per_second") == 1);
}

TEST_CASE("Without a model run tells a story", "[program]") {
  const ScratchFolder folder;
  const Outputs outputs = run_program(folder, {"run", "-n", "8"});
  CHECK(outputs.code == 0);
  CHECK(outputs.out.find("# The Fox and the King\n\n") == 0);
  CHECK(outputs.out.size() > 30);
  CHECK(run_program(folder, {"run", "-n", "1"}, "# The Hen\n\n").out.find("# The Hen\n\n") == 0);
}

TEST_CASE("tokenize gives ids and pieces, and decodes", "[program]") {
  const Place place;
  const std::string text = "the hat\n\xe2\x82\xac";
  const Outputs ids = place({"tokenize", place.model, "--ids"}, text);
  CHECK(ids.code == 0);
  CHECK(place({"tokenize", place.model, "--decode"}, ids.out).out == text);
  auto values = place.json({"tokenize", place.model, "--json"}, text);
  CHECK(values["schema"] == "tyto.tokenize.v1");
  CHECK(values["count"] == values["ids"]);
  CHECK(values["ids"] == values["pieces"]);
  CHECK(values["pieces.0"] == "\u2581the");
  std::istringstream words(ids.out);
  for (int i = 0; i < std::stoi(values["count"]); ++i) {
    std::string word;
    words >> word;
    CHECK(word == values["ids." + std::to_string(i)]);
  }
  const Outputs table = place({"tokenize", place.model, "-p", "the"});
  CHECK(table.out == "    " + values["ids.0"] + "  \u2581the\n");
}

TEST_CASE("inspect tells metadata, tensors and memory", "[program]") {
  const Place place;
  auto values = place.json({"inspect", place.model, "--json"});
  CHECK(values["schema"] == "tyto.inspect.v1");
  CHECK(values["metadata.llama.context_length"] == "128");
  CHECK(std::stoi(values["tensors"]) > 10);
  CHECK(values["tensors.0.shape"] == "2");
  CHECK(std::stoll(values["memory.devices.0.weights"]) > 0);
  CHECK(std::stoll(values["memory.devices.0.cache"]) > 0);
  const Outputs outputs = place({"inspect", place.model});
  CHECK(outputs.code == 0);
  for (const char* word : {"fingerprint", "llama.context_length", "token_embd.weight", "workspace"})
    CHECK(outputs.out.find(word) != std::string::npos);
  for (const auto& [memory, answer] : {std::pair{"1K", "more than"}, {"1G", "within"}})
    CHECK(place({"inspect", place.model, "--mem", memory}).out.find(answer) != std::string::npos);
}

TEST_CASE("pack writes a file that every command takes", "[program]") {
  const Place place;
  const std::string packed = place.path("tiny.tyto");
  auto values = place.json({"pack", place.model, packed, "--json"});
  CHECK(values["schema"] == "tyto.pack.v1");
  CHECK(values["file"] == packed);
  CHECK(values["table"].starts_with("cpu "));
  CHECK(std::stoll(values["weights"]) > 0);
  const Outputs lost = place({"pack", place.model, place.path("nowhere/tiny.tyto")});
  CHECK(lost.err.find("no such folder") != std::string::npos);
  const Arguments generate{"-p", "the hat", "-n", "20", "--seed", "3"};
  const auto run = [&](const std::string& model, Arguments more = {}) {
    Arguments all{"run", model};
    all.insert(all.end(), generate.begin(), generate.end());
    all.insert(all.end(), more.begin(), more.end());
    return place(all);
  };
  const Outputs outputs = run(packed, {"--verify-packed"});
  CHECK(outputs.code == 0);
  CHECK(outputs.out == run(place.model).out);
  CHECK(place({"tokenize", packed, "-p", "the"}).out ==
        place({"tokenize", place.model, "-p", "the"}).out);
  auto inspected = place.json({"inspect", packed, "--json"});
  CHECK(inspected["packed.table"] == values["table"]);
  CHECK(inspected["packed.source_hash"] == values["source_hash"]);
  CHECK(inspected["memory.devices.0.weights"] == "0");
  CHECK(inspected["memory.devices.0.mapped"] == values["weights"]);
  CHECK(place({"inspect", packed}).out.find("packed for cpu ") != std::string::npos);

  CHECK(run(packed, {"--device", "reference"}).code == 65);
  CHECK(place({"pack", place.model, place.model}).code == 2);
  CHECK(place({"pack", packed, place.path("x")}).code == 2);
  CHECK(place({"pack", place.path("missing"), place.path("x")}).code == 65);
  // A cache fills itself, and is then used.
  const std::string cache = place.path("cache");
  std::filesystem::create_directory(cache);
  for (int i = 0; i < 2; ++i) CHECK(run(place.model, {"--packed-cache", cache}).out == outputs.out);
  CHECK(std::distance(std::filesystem::directory_iterator(cache), {}) == 1);
}

TEST_CASE("Processes that race to fill a cache leave one entry and all work", "[program]") {
  const Place place;
  const std::string cache = place.path("cache");
  std::filesystem::create_directory(cache);
  Arguments arguments{"run", place.model, "-p", "the hat", "-n", "20", "--seed", "3"};
  const Outputs expected = place(arguments);
  REQUIRE(expected.code == 0);
  arguments.insert(arguments.end(), {"--packed-cache", cache});
  constexpr int kRounds = 5;
  for (int round = 0; round < kRounds; ++round) {
    const ScratchFolder folders[3];
    std::vector<std::unique_ptr<Process>> racers;
    for (const ScratchFolder& folder : folders)
      racers.push_back(std::make_unique<Process>(folder, arguments));
    for (const auto& racer : racers) {
      CHECK(racer->wait() == 0);
      CHECK(racer->out() == expected.out);
    }
    REQUIRE(std::distance(std::filesystem::directory_iterator(cache), {}) == 1);
    std::filesystem::remove(std::filesystem::directory_iterator(cache)->path());
  }
}

TEST_CASE("bench tells speeds, bandwidth and memory", "[program]") {
  const Place place;
  auto values = place.json({"bench", place.model, "-p", "8", "-n", "4", "-d", "3", "-b", "2", "-r",
                            "2", "-t", "2", "--buffer", "16M", "--json"});
  CHECK(values["schema"] == "tyto.bench.v1");
  for (const char* key :
       {"load_seconds", "peak_resident_bytes", "read_bandwidth", "prefill.tokens_per_second",
        "decode.tokens_per_second", "decode.bytes_per_second", "decode.bandwidth_fraction"}) {
    INFO(key);
    CHECK(std::stod(values[key]) > 0);
  }
  CHECK(values["prefill.samples"] == "2");
  CHECK(values["decode.samples"] == "2");
  CHECK(values["depth"] == "3");
  const Outputs outputs =
      place({"bench", place.model, "-p", "0", "-n", "2", "-r", "1", "--buffer", "16M"});
  CHECK(outputs.code == 0);
  CHECK(outputs.out.find("decode") != std::string::npos);
  CHECK(outputs.out.find("prefill") == std::string::npos);
  CHECK(outputs.out.find("attention.qkv") == std::string::npos);
}

TEST_CASE("bench tells the stages of a token", "[program]") {
  const Place place;
  const std::vector<std::string> command = {"bench", place.model, "-p",       "0",   "-n",      "2",
                                            "-r",    "1",         "--buffer", "16M", "--stages"};
  const Outputs outputs = place(command);
  CHECK(outputs.code == 0);
  for (const char* stage :
       {"embed", "attention.qkv", "attention.attend", "mlp.down", "head.logits"})
    CHECK(outputs.out.find(stage) != std::string::npos);
  auto without = command;
  without[5] = "0";
  CHECK(place(without).code != 0);
  auto with_json = command;
  with_json.emplace_back("--json");
  CHECK(place.json(with_json)["decode.stages"] == "13");  // 6 of attention, 4 of an MLP, 3 others
}

// A sanitizer keeps a shadow of all memory, which is resident too.
#if !TYTO_ADDRESS_SANITIZER && !TYTO_THREAD_SANITIZER
TEST_CASE("the process stays within the plan and 32 MiB", "[program]") {
  const Place place;
  for (const char* sessions : {"1", "16"}) {
    INFO(sessions << " sessions");
    auto values = place.json({"bench", example_model(), "-p", "200", "-n", "8", "-b", sessions,
                              "-r", "1", "-t", "2", "--buffer", "16M", "--json"});
    const auto planned = std::stoll(values["planned_bytes"]);
    CHECK(planned > (8 << 20));
    CHECK(std::stoll(values["peak_resident_bytes"]) < planned + (32 << 20));
  }
}
#endif

TEST_CASE("logits writes a row for each token of each sequence", "[program]") {
  const Place place;
  const std::string out = place.path("logits.npy");
  REQUIRE(place({"logits", place.model, "--ids", "1 270 271", "--out", out}).code == 0);
  const auto one = read_npy(out);
  REQUIRE(one.size() == 3);
  CHECK(one[0].size() == 300);
  CHECK(one[0] != one[1]);

  const std::string ids = place.write("ids", "1 270 271\n\n1 265\n");
  auto values = place.json({"logits", place.model, "--ids-file", ids, "--out", out, "--json"});
  CHECK(values["schema"] == "tyto.logits.v1");
  CHECK(values["tokens"] == "5");
  const auto two = read_npy(out);
  REQUIRE(two.size() == 5);
  for (std::size_t row : {0, 1, 2}) CHECK(two[row] == one[row]);
  CHECK(two[3] == one[0]);

  const std::string text = place.write("text", "the hat");
  REQUIRE(place({"logits", place.model, "-f", text, "--out", out}).code == 0);
  CHECK(read_npy(out).at(0) == one[0]);  // begins with <s>
}

TEST_CASE("perplexity scores every position after the begin token of each chunk", "[program]") {
  const Place place;
  const std::string text = place.write("text", "the hat in the red hat ran on and on then");
  std::istringstream numbers(place({"tokenize", place.model, "--ids", "-f", text}).out);
  std::vector<std::size_t> ids;
  for (std::size_t id = 0; numbers >> id;) ids.push_back(id);
  REQUIRE(ids.size() > 14);

  // Chunks of <s> and 7 tokens; what is left over does not count.
  std::string sequences;
  for (std::size_t i = 0; i + 7 <= ids.size(); i += 7) {
    sequences += "1";
    for (std::size_t j = i; j < i + 7; ++j) sequences += " " + std::to_string(ids[j]);
    sequences += "\n";
  }
  const std::string out = place.path("out.npy");
  REQUIRE(place({"logits", place.model, "--ids-file", place.write("ids", sequences), "--out", out})
              .code == 0);
  const auto rows = read_npy(out);
  double total = 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i + 7 <= ids.size(); i += 7)
    for (std::size_t j = 0; j < 7; ++j, ++count) total += loss(rows[i / 7 * 8 + j], ids[i + j]);

  auto values = place.json({"perplexity", place.model, "-f", text, "--chunk", "8", "--json"});
  CHECK(values["schema"] == "tyto.perplexity.v1");
  CHECK(values["positions"] == std::to_string(count));
  CHECK(std::stod(values["perplexity"]) ==
        Approx(std::exp(total / static_cast<double>(count))).epsilon(1e-5));

  auto fewer = place.json(
      {"perplexity", place.model, "-f", text, "--chunk", "8", "--positions", "9", "--json"});
  CHECK(fewer["positions"] == "9");
}

TEST_CASE("A model does not diverge from itself, and another text is a mismatch", "[program]") {
  const Place place;
  const std::string text = place.write("text", "the hat in the red hat"),
                    base = place.path("base.logits");
  const Arguments common{"perplexity", place.model, "--chunk", "8"};
  const auto with = [&](Arguments more) {
    more.insert(more.begin(), common.begin(), common.end());
    return more;
  };
  REQUIRE(place(with({"-f", text, "--save", base})).code == 0);
  auto values = place.json(with({"-f", text, "--kl", base, "--json"}));
  CHECK(std::abs(std::stod(values["kl_mean"])) < 1e-9);
  CHECK(values["same_top"] == "1");
  CHECK(values["perplexity"] == values["base_perplexity"]);

  const std::string other = place.write("other", "on and on and on and on and");
  CHECK(place(with({"-f", other, "--kl", base})).code == 65);
  const std::string cut = place.write("cut", file_content(base).substr(0, 3000));
  CHECK(place(with({"-f", text, "--kl", cut})).code == 65);
}

TEST_CASE("Ctrl-C stops a generation cleanly and exits with 130", "[program]") {
  const Place place(32768);
  const Process process(place,
                        {"run", place.model, "-p", "the hat", "-n", "32000", "--ctx", "32768"});
  while (process.out().size() < 40 && process.running())
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  process.signal(SIGINT);
  const int code = process.wait();
  INFO(process.err() << process.out().size() << " bytes");
  CHECK(code == 130);
  CHECK(process.err().find("stopped by cancelled") != std::string::npos);
}

TEST_CASE("A closed pipe ends the program quietly", "[program]") {
  const Place place(32768);
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  ::fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  const Process process(place, {"run", place.model, "-p", "the", "-n", "32000", "--ctx", "32768"},
                        "/dev/null", ends[1]);
  char some[10];
  CHECK(::read(ends[0], some, sizeof some) > 0);
  ::close(ends[0]);
  CHECK(process.wait() == -SIGPIPE);
  CHECK(process.err().empty());
}

TEST_CASE("A full disk exits with 75", "[program]") {
  if (!std::filesystem::exists("/dev/full")) return;
  const Place place;
  const Process process(place, {"tokenize", place.model, "-p", "the"}, "/dev/null",
                        ::open("/dev/full", O_WRONLY));
  CHECK(process.wait() == 75);
  CHECK(process.err().find("stdout") != std::string::npos);
  CHECK(place({"logits", place.model, "--ids", "1 2", "--out", "/dev/full"}).code == 75);
}
#endif
