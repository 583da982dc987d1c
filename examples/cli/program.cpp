#include "examples/cli/program.h"

#include <charconv>
#include <cstdio>

#include "examples/cli/accelerator.h"
#include "src/file/tensor_source.h"

namespace cli {
namespace {

// Loading, on terminals only: "loading 42%".
class ProgressLine {
 public:
  void show(float fraction) {
    const int percent = static_cast<int>(fraction * 100);
    if (percent == shown_) return;
    shown_ = percent;
    std::fprintf(stderr, percent < 100 ? "\rloading %d%%" : "\r            \r", percent);
  }

 private:
  int shown_ = -1;
};

class StderrLog : public tyto::LogSink {
 public:
  void write(tyto::LogLevel level, std::string_view line) noexcept override {
    if (level == tyto::LogLevel::warning)
      std::fprintf(stderr, "warning: %.*s\n", static_cast<int>(line.size()), line.data());
  }
};

tyto::Isa isa_of(const std::string& name) {
  if (name == "scalar") return tyto::Isa::scalar;
  if (name == "avx2") return tyto::Isa::avx2;
  if (name == "avx512") return tyto::Isa::avx512;
  if (name == "amx") return tyto::Isa::amx;
  return name == "neon" ? tyto::Isa::neon : tyto::Isa::best;
}

tyto::CacheType cache_type_of(const std::string& name) {
  if (name == "f16") return tyto::CacheType::f16;
  if (name == "q8_0") return tyto::CacheType::q8_0;
  if (name == "q4_0") return tyto::CacheType::q4_0;
  if (name == "f8_e4m3") return tyto::CacheType::f8_e4m3;
  return name == "f32" ? tyto::CacheType::f32 : tyto::CacheType::bf16;
}

// What is wrong with the name of a device; empty: nothing.
std::string device_error(const std::string& name) {
  for (const std::string_view known : {"auto", "cpu", "reference", "cuda"})
    if (name == known) return "";
  return name.starts_with("cuda:") ? "" : name + " not in {auto,cpu,reference,cuda,cuda:N}";
}

}  // namespace

void add_json_option(CLI::App& command, Program& program) {
  command.add_flag("--json", program.json, "One JSON object on stdout");
}

CLI::Option* add_model_option(CLI::App& command, ModelArguments& arguments) {
  return command
      .add_option("MODEL", arguments.path,
                  "A GGUF file, the first of a split one, or a packed file")
      ->required();
}

void add_threads_option(CLI::App& command, ModelArguments& arguments) {
  command
      .add_option("-t,--threads", arguments.threads,
                  "Threads; all cores that may be used, if not given")
      ->check(CLI::Range(1, 4096));
}

void add_isa_option(CLI::App& command, ModelArguments& arguments) {
  command
      .add_option("--isa", arguments.isa, "Instruction set: best, scalar, avx2, avx512, amx, neon")
      ->check(CLI::IsMember({"best", "scalar", "avx2", "avx512", "amx", "neon"}))
      ->envname("TYTO_FORCE_ISA")
      ->capture_default_str();
}

void add_compute_options(CLI::App& command, ModelArguments& arguments) {
  add_threads_option(command, arguments);
  command
      .add_option(
          "--device", arguments.device,
          "auto (the CPU, for now), cpu, reference (plain loops, for checking), cuda or cuda:N")
      ->check(device_error)
      ->capture_default_str();
  add_isa_option(command, arguments);
  command
      .add_option("--ctx", arguments.context,
                  "Room for this many tokens; 4096, if not given. A text gets at most the "
                  "model's own context")
      ->check(CLI::Range(1, 1 << 30));
  command
      .add_option("--kv", arguments.cache_type,
                  "Type of the cache: bf16, f16, f32, q8_0, q4_0, f8_e4m3")
      ->check(CLI::IsMember({"bf16", "f16", "f32", "q8_0", "q4_0", "f8_e4m3"}))
      ->capture_default_str();
  command
      .add_option("--mem", arguments.memory,
                  "The most memory to take, like 8G; no limit, if not given")
      ->transform(CLI::AsSizeValue(false));
  command
      .add_option("--packed-cache", arguments.packed_cache,
                  "A folder that keeps models as packed files, so that they start at once")
      ->check(CLI::ExistingDirectory);
  command.add_flag("--verify-packed", arguments.verify_packed,
                   "Compare the content hashes of packed files");
}

int context_of(const ModelArguments& arguments) {
  return arguments.context > 0 ? arguments.context : kDefaultContext;
}

tyto::ModelOptions model_options(const ModelArguments& arguments, Program& program, int tokens,
                                 int sequences) {
  tyto::RuntimeOptions runtime;
  runtime.threads = arguments.threads;
  runtime.memory_budget = arguments.memory;
  runtime.host.log = std::make_shared<StderrLog>();
  runtime.host.trace = program.trace;

  tyto::ModelOptions options;
  options.device = arguments.device;
  // By name only: "auto" stays the CPU here until CUDA has run on a device.
  if (arguments.device.starts_with("cuda")) options.accelerator = accelerator();
  options.isa = isa_of(arguments.isa);
  options.cache_type = cache_type_of(arguments.cache_type);
  options.cache_tokens = tokens;
  options.packed_cache = arguments.packed_cache;
  options.verify_packed = arguments.verify_packed;
  options.limits.sequences = sequences;
  options.runtime = tyto::Runtime::create(runtime).value();
  options.progress = [&program, line = ProgressLine()](float fraction) mutable {
    if (stderr_is_terminal()) line.show(fraction);
    return !program.cancel.requested();
  };
  return options;
}

tyto::Model load_model(const ModelArguments& arguments, const tyto::ModelOptions& options) {
  return tyto::Model::load(arguments.path, options).value();
}

tyto::Model load_model(const ModelArguments& arguments, Program& program) {
  return load_model(arguments, model_options(arguments, program, context_of(arguments)));
}

tyto::Tokenizer load_tokenizer(const std::string& path) {
  return tyto::Tokenizer::load(path).value();
}

std::string read_text(const std::string* text, const std::string& file) {
  if (text != nullptr) return *text;
  if (!file.empty()) return read_file(file);
  if (stdin_is_terminal())
    fail(tyto::ErrorCode::bad_argument, "no text: give -p TEXT, -f FILE, or pipe it in");
  std::string piped = read_file("-");
  if (piped.empty())
    fail(tyto::ErrorCode::bad_argument, "no text: stdin is empty, and neither -p nor -f is given");
  return piped;
}

std::vector<tyto::TokenId> parse_ids(std::string_view text) {
  std::vector<tyto::TokenId> ids;
  constexpr std::string_view kSpace = " \t\r\n,";
  for (;;) {
    const std::size_t begin = text.find_first_not_of(kSpace);
    if (begin == text.npos) return ids;
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find_first_of(kSpace));
    const auto parsed = std::from_chars(word.data(), word.data() + word.size(), ids.emplace_back());
    if (parsed.ec != std::errc() || parsed.ptr != word.data() + word.size())
      fail(tyto::ErrorCode::bad_argument, "not a token id: " + std::string(word));
    text.remove_prefix(word.size());
  }
}

void fail(tyto::ErrorCode code, const std::string& message) {
  throw tyto::Exception(tyto::Error(code, message));
}

void write_json(const JsonObject& object) { write_out(object.done() + "\n"); }

void say(std::string_view line) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
}

double seconds_since(tyto::Clock::time_point begin) {
  return std::chrono::duration<double>(tyto::Clock::now() - begin).count();
}

}  // namespace cli
