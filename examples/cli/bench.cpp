// tyto bench: how fast a model computes prompts and single tokens, and how near the latter comes to
// the speed at which this machine reads memory.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "examples/cli/bandwidth.h"
#include "examples/cli/program.h"
#include "examples/cli/stage_times.h"
#include "src/file/tensor_source.h"

namespace cli {
namespace {

constexpr int kPrompt = 512;  // tokens, where nothing else is asked for

struct BenchArguments {
  ModelArguments model;
  std::optional<int> prompt;
  int tokens = 64, depth = 0, batch = 1, repetitions = 3;
  std::uint64_t buffer = std::uint64_t{1} << 30;
  bool stages = false;
};

struct Figures {
  int prompt = 0;  // tokens
  double load_seconds = 0, bandwidth = 0, bytes_per_step = 0;
  std::uint64_t peak_bytes = 0, planned_bytes = 0;
  std::vector<double> prefill, decode;  // tokens per second, of each repetition
  int threads = 0;
  StageTimes stages;
};

double median(std::vector<double> samples) {
  if (samples.empty()) return 0;
  std::sort(samples.begin(), samples.end());
  const std::size_t half = samples.size() / 2;
  return samples.size() % 2 != 0 ? samples[half] : (samples[half - 1] + samples[half]) / 2;
}

class Bench {
 public:
  Bench(const BenchArguments& arguments, Program& program)
      : arguments_(arguments), program_(program) {
    // Whole pages for each session; what a session holds besides the depth is a prompt or tokens,
    // never both.
    constexpr int kPage = 16;
    const int own =
        arguments.depth + std::max(arguments.prompt.value_or(kPrompt), arguments.tokens) + 1;
    const int rounded = (own + kPage - 1) / kPage * kPage;
    const std::int64_t cached = std::int64_t{rounded} * arguments.batch;
    if (cached > 1 << 30)
      fail(tyto::ErrorCode::bad_argument,
           "a cache of " + std::to_string(cached) + " tokens; at most 2^30 can be asked for");
    if (arguments.stages) {
      check_stages();
      program.trace = times_;
    }
    tyto::ModelOptions options =
        model_options(arguments.model, program, static_cast<int>(cached), arguments.batch);
    figures_.threads = options.runtime->threads();
    const auto begin = tyto::Clock::now();
    model_ = load_model(arguments.model, options);
    figures_.load_seconds = seconds_since(begin);
    for (int i = 0; i < arguments.batch; ++i)
      sessions_.push_back(
          model_.new_session({.context = rounded, .cancel = &program.cancel}).value());
    const auto room = static_cast<int>(sessions_.front().capacity()) - arguments.depth;
    figures_.prompt = arguments.prompt.value_or(std::clamp(room, 0, kPrompt));
    for (tyto::Session& session : sessions_) items_.push_back({.session = &session});
  }

  Figures run() {
    const auto depth = static_cast<std::size_t>(arguments_.depth);
    for (tyto::Session& session : sessions_) {
      session.append(some_tokens(arguments_.depth)).value();
      session.prefill().value();
    }
    for (int i = 0; i <= arguments_.repetitions; ++i) {  // the first one warms up
      const double prefill = time_prefill(), decode = time_decode();
      for (tyto::Session& session : sessions_) session.truncate(depth).value();
      if (i > 0 && prefill > 0) figures_.prefill.push_back(prefill);
      if (i > 0 && decode > 0) figures_.decode.push_back(decode);
    }
    if (arguments_.stages) time_stages();
    figures_.peak_bytes = peak_resident_bytes();
    figures_.planned_bytes = planned_bytes();
    figures_.bytes_per_step = bytes_per_step();
    figures_.bandwidth = read_bandwidth(figures_.threads, arguments_.buffer);
    return figures_;
  }

  const tyto::Model& model() const { return model_; }

 private:
  void check_stages() const {
    const std::string& device = arguments_.model.device;
    if (arguments_.tokens == 0 || (device != "cpu" && device != "auto"))
      fail(tyto::ErrorCode::bad_argument, "--stages needs --device cpu, and --tokens of 1 or more");
  }

  // Any tokens will do; the same in every run.
  std::vector<tyto::TokenId> some_tokens(int count) const {
    std::vector<tyto::TokenId> ids;
    std::uint32_t state = 1;
    for (int i = 0; i < count; ++i) {
      state = state * 1664525 + 1013904223;  // Numerical Recipes' generator
      ids.push_back(static_cast<tyto::TokenId>((state >> 8) %
                                               static_cast<std::uint32_t>(model_.vocab_size())));
    }
    return ids;
  }

  double time_prefill() {
    if (figures_.prompt == 0) return 0;
    tyto::Session& session = sessions_.front();
    session.append(some_tokens(figures_.prompt)).value();
    const auto begin = tyto::Clock::now();
    session.prefill().value();
    const double seconds = seconds_since(begin);
    session.truncate(static_cast<std::size_t>(arguments_.depth)).value();
    return figures_.prompt / seconds;
  }

  void time_stages() {
    times_->on = true;
    time_decode();
    times_->on = false;
    figures_.stages = *times_;
  }

  double time_decode() {
    if (arguments_.tokens == 0) return 0;
    const std::vector<tyto::TokenId> ids = some_tokens(arguments_.tokens);
    const auto begin = tyto::Clock::now();
    for (const tyto::TokenId id : ids) {
      for (tyto::Session& session : sessions_) session.append({&id, 1}).value();
      tyto::step(items_).value();
      if (program_.cancel.requested()) fail(tyto::ErrorCode::cancelled, "interrupted");
    }
    return arguments_.tokens * arguments_.batch / seconds_since(begin);
  }

  // What a step of decoding reads: the weights, less a table of embeddings that is not the head's
  // too and experts that no row chooses, and the cache of each session at its mean length.
  double bytes_per_step() const {
    const tyto::MemoryPlan plan = model_.memory();
    const double mean_length = arguments_.depth + (arguments_.tokens + 1) / 2.0;
    double weights = 0, cache = 0;
    for (const tyto::MemoryPlan::Device& device : plan.devices) {
      weights += static_cast<double>(device.weights + device.mapped);
      cache += static_cast<double>(device.cache);
    }
    const double rows = static_cast<double>(sessions_.front().capacity()) * arguments_.batch;
    return weights - unread_weights() + cache / rows * mean_length * arguments_.batch;
  }

  std::uint64_t planned_bytes() const {
    const tyto::MemoryPlan plan = model_.memory();
    std::uint64_t total = plan.host_tables;
    for (const tyto::MemoryPlan::Device& device : plan.devices)
      total += device.weights + device.mapped + device.cache + device.workspace;
    return total;
  }

  double unread_weights() const {
    const tyto::FileSystem& files = tyto::file::os_files();
    const auto source = files.open(arguments_.model.path).value();
    const auto file = tyto::file::open_model(source, arguments_.model.path, &files).value();
    const auto* table = file->find("token_embd.weight");
    double unread = table != nullptr && file->find("output.weight") != nullptr
                        ? static_cast<double>(table->bytes)
                        : 0;
    // Tensors of experts have three dimensions. Rows are taken to choose theirs independently.
    const double left_out = std::pow(unchosen_experts(*file), arguments_.batch);
    for (const tyto::file::TensorInfo& tensor : file->tensors())
      if (tensor.shape.size() == 3) unread += static_cast<double>(tensor.bytes) * left_out;
    return unread;
  }

  // The share of experts that a row does not choose.
  static double unchosen_experts(const tyto::file::ModelFile& file) {
    const std::string family(file.metadata().text_or("general.architecture", "").value());
    const auto experts = file.metadata().integer(family + ".expert_count");
    const auto active = file.metadata().integer(family + ".expert_used_count");
    if (!experts || !active || *experts == 0) return 0;
    return 1 - static_cast<double>(*active) / static_cast<double>(*experts);
  }

  const BenchArguments& arguments_;
  Program& program_;
  Figures figures_;
  const std::shared_ptr<StageTimes> times_ = std::make_shared<StageTimes>();
  tyto::Model model_;
  std::vector<tyto::Session> sessions_;
  std::vector<tyto::BatchItem> items_;
};

std::string samples_json(const std::vector<double>& samples) {
  JsonArray out;
  for (const double sample : samples) out.number(sample);
  return out.done();
}

// Bytes per second that decoding reads.
double decode_rate(const BenchArguments& arguments, const Figures& figures) {
  return median(figures.decode) / arguments.batch * figures.bytes_per_step;
}

void report_json(const BenchArguments& arguments, const Figures& figures,
                 const tyto::Model& model) {
  JsonObject prefill, decode, object("tyto.bench.v1");
  prefill.integer("tokens", figures.prompt).number("tokens_per_second", median(figures.prefill));
  prefill.raw("samples", samples_json(figures.prefill));
  const double rate = decode_rate(arguments, figures);
  decode.integer("tokens", arguments.tokens).integer("batch", arguments.batch);
  decode.number("tokens_per_second", median(figures.decode))
      .raw("samples", samples_json(figures.decode));
  decode.number("bytes_per_step", figures.bytes_per_step).number("bytes_per_second", rate);
  decode.number("bandwidth_fraction", rate / figures.bandwidth);
  object.text("model", model.describe()).text("fingerprint", model.fingerprint());
  object.integer("threads", figures.threads).integer("depth", arguments.depth);
  object.number("load_seconds", figures.load_seconds)
      .bytes("peak_resident_bytes", figures.peak_bytes)
      .bytes("planned_bytes", figures.planned_bytes);
  object.number("read_bandwidth", figures.bandwidth);
  if (arguments.stages) decode.raw("stages", stages_json(figures.stages, arguments.tokens));
  write_json(object.raw("prefill", prefill.done()).raw("decode", decode.done()));
}

void report(const BenchArguments& arguments, const Figures& figures, const tyto::Model& model) {
  const auto spread = [](const std::vector<double>& samples) {
    const auto [low, high] = std::minmax_element(samples.begin(), samples.end());
    return (*high - *low) / 2;
  };
  std::string out = fmt::format(
      "{}\nload     {:10.3f} s\npeak     {:10.1f} MiB resident, {:.1f} planned\n"
      "reading  {:10.2f} GB/s, {} threads\n",
      model.describe(), figures.load_seconds, static_cast<double>(figures.peak_bytes) / (1 << 20),
      static_cast<double>(figures.planned_bytes) / (1 << 20), figures.bandwidth / 1e9,
      figures.threads);
  if (!figures.prefill.empty())
    out += fmt::format("prefill  {:10.2f} tok/s +- {:.2f}: {} tokens at depth {}\n",
                       median(figures.prefill), spread(figures.prefill), figures.prompt,
                       arguments.depth);
  const double rate = decode_rate(arguments, figures);
  if (!figures.decode.empty())
    out += fmt::format(
        "decode   {:10.2f} tok/s +- {:.2f}: {} tokens, {} at once, at depth {}; {:.2f} GB/s, "
        "{:.0f}% of reading\n",
        median(figures.decode), spread(figures.decode), arguments.tokens, arguments.batch,
        arguments.depth, rate / 1e9, 100 * rate / figures.bandwidth);
  if (arguments.stages)
    out += '\n' + stages_table(figures.stages, arguments.tokens, figures.bandwidth);
  write_out(out);
}

void bench(const BenchArguments& arguments, Program& program) {
  Bench bench(arguments, program);
  const Figures figures = bench.run();
  if (program.json) return report_json(arguments, figures, bench.model());
  report(arguments, figures, bench.model());
}

}  // namespace

void add_bench(CLI::App& app, Program& program) {
  CLI::App* command =
      app.add_subcommand("bench", "Speed of prompts and of single tokens, load time, peak memory");
  const auto arguments = std::make_shared<BenchArguments>();
  add_model_option(*command, arguments->model);
  const CLI::Range any(0, 1 << 20), some(1, 1 << 16);
  command
      ->add_option("-p,--prompt", arguments->prompt,
                   "Tokens of a prompt; 0: none. 512, or what the context holds, if not given")
      ->check(any);
  command->add_option("-n,--tokens", arguments->tokens, "Single tokens; 0: none")
      ->check(any)
      ->capture_default_str();
  command->add_option("-d,--depth", arguments->depth, "Tokens that stand before them")
      ->check(any)
      ->capture_default_str();
  command->add_option("-b,--batch", arguments->batch, "Sequences that advance together")
      ->check(some)
      ->capture_default_str();
  command->add_option("-r,--repetitions", arguments->repetitions, "Repetitions")
      ->check(some)
      ->capture_default_str();
  command->add_flag(
      "--stages", arguments->stages,
      "Also what each stage of a step of single tokens takes, on the CPU, one at a time");
  command
      ->add_option("--buffer", arguments->buffer,
                   "What to read for the bandwidth; 1G, if not given")
      ->transform(CLI::AsSizeValue(false));
  add_json_option(*command, program);
  add_compute_options(*command, arguments->model);
  command->callback([arguments, &program] { bench(*arguments, program); });
}

}  // namespace cli
