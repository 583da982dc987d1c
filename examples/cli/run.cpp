// tyto run: streams a completion.
#include <fmt/format.h>

#include <optional>

#include "examples/cli/carry.h"
#include "examples/cli/demo_model.h"
#include "examples/cli/program.h"
#include "src/file/tensor_source.h"

namespace cli {
namespace {

struct RunArguments {
  ModelArguments model;
  std::optional<std::string> prompt;
  std::string prompt_file;
  bool hide_prompt = false;
  tyto::GenerateOptions generate;
  std::optional<float> temperature, top_p, min_p, typical_p, repeat_penalty;
  std::optional<int> top_k;
  std::optional<std::uint64_t> seed;
};

struct Outcome {
  std::string text;
  JsonArray tokens;
  int prompt_tokens = 0, generated_tokens = 0;
  double prompt_seconds = 0, generate_seconds = 0;
  tyto::Stop stop = tyto::Stop::none;
};

constexpr const char* kDemoPrompt = "# The Fox and the King\n\n";

std::string_view name(tyto::Stop stop) {
  constexpr std::string_view kNames[] = {"none",         "end_of_text", "stop_string", "max_tokens",
                                         "context_full", "callback",    "budget",      "cancelled"};
  return kNames[static_cast<std::size_t>(stop)];
}

// The bare command tells a story; text that is piped in comes before that.
std::string prompt_of(const RunArguments& arguments) {
  const std::string* given = arguments.prompt ? &*arguments.prompt : nullptr;
  const bool bare = given == nullptr && arguments.prompt_file.empty();
  if (!arguments.model.path.empty() || !bare) return read_text(given, arguments.prompt_file);
  const std::string piped = stdin_is_terminal() ? "" : read_file("-");
  return piped.empty() ? kDemoPrompt : piped;
}

tyto::Model load(const ModelArguments& arguments, Program& program) {
  if (!arguments.path.empty()) return load_model(arguments, program);
  if (demo_model().empty())
    fail(tyto::ErrorCode::unsupported, "this program was built without its demo model");
  const tyto::ModelOptions options = model_options(arguments, program, context_of(arguments));
  return tyto::Model::load(tyto::memory_source(demo_model()).value(), options).value();
}

tyto::Sampler make_sampler(const tyto::Model& model, const RunArguments& arguments) {
  tyto::SamplerOptions options = model.default_sampling();
  options.temperature = arguments.temperature.value_or(options.temperature);
  options.top_k = arguments.top_k.value_or(options.top_k);
  options.top_p = arguments.top_p.value_or(options.top_p);
  options.min_p = arguments.min_p.value_or(options.min_p);
  options.typical_p = arguments.typical_p.value_or(options.typical_p);
  options.repeat_penalty = arguments.repeat_penalty.value_or(options.repeat_penalty);
  options.seed = arguments.seed.value_or(options.seed);
  return tyto::Sampler::create(options).value();
}

Outcome generate(tyto::Session& session, tyto::Sampler& sampler, const RunArguments& arguments,
                 bool stream) {
  Outcome out;
  out.prompt_tokens = static_cast<int>(session.tokens().size());
  auto begin = tyto::Clock::now();
  session.prefill().value();
  out.prompt_seconds = seconds_since(begin);

  begin = tyto::Clock::now();
  const auto keep = [&](const tyto::Token& token) {
    out.text += token.text;
    if (token.id >= 0) {  // else it only brings text that was held back
      ++out.generated_tokens;
      out.tokens.raw(JsonObject().integer("id", token.id).number("logprob", token.logprob).done());
    }
    if (stream) write_out(token.text);
    return true;
  };
  Carry carry;
  const auto on_token = [&](const tyto::Token& token) {
    return carry([&] { return keep(token); });
  };
  out.stop = session.generate(sampler, arguments.generate, on_token).value();
  carry.rethrow();
  out.generate_seconds = seconds_since(begin);
  return out;
}

double rate(int tokens, double seconds) { return seconds > 0 ? tokens / seconds : 0; }

void say_speed(const Outcome& out) {
  say(fmt::format("prompt {} tokens, {:.1f} tok/s; text {} tokens, {:.1f} tok/s; stopped by {}",
                  out.prompt_tokens, rate(out.prompt_tokens, out.prompt_seconds),
                  out.generated_tokens, rate(out.generated_tokens, out.generate_seconds),
                  name(out.stop)));
}

void write(const Outcome& out, const tyto::Model& model, const std::string& prompt) {
  JsonObject object("tyto.run.v1");
  object.text("model", model.describe()).text("fingerprint", model.fingerprint());
  object.text("prompt", prompt).text("text", out.text).raw("tokens", out.tokens.done());
  object.text("stop", name(out.stop));
  object.integer("prompt_tokens", out.prompt_tokens)
      .integer("generated_tokens", out.generated_tokens);
  object.number("prompt_seconds", out.prompt_seconds)
      .number("generate_seconds", out.generate_seconds);
  object.number("prompt_tokens_per_second", rate(out.prompt_tokens, out.prompt_seconds));
  object.number("generated_tokens_per_second", rate(out.generated_tokens, out.generate_seconds));
  write_json(object);
}

void run(const RunArguments& arguments, Program& program) {
  const std::string& path = arguments.model.path;
  if (!path.empty()) tyto::file::os_files().open(path).value();  // before a text is waited for
  const std::string prompt = prompt_of(arguments);
  const tyto::Model model = load(arguments.model, program);
  tyto::Sampler sampler = make_sampler(model, arguments);
  tyto::Session session =
      model.new_session({.context = context_of(arguments.model), .cancel = &program.cancel})
          .value();
  session.append(model.tokenizer().encode(prompt, {.add_special = true}).value()).value();

  const bool stream = !program.json;
  if (stream && !arguments.hide_prompt) write_out(prompt);
  const Outcome out = generate(session, sampler, arguments, stream);
  if (stream && stdout_is_terminal()) write_out("\n");
  if (!stream) write(out, model, prompt);
  if (stream && !stdout_is_terminal()) say("");  // both may go to one log
  say_speed(out);
  if (out.stop == tyto::Stop::cancelled) {
    program.json = false;  // stdout has its object already
    fail(tyto::ErrorCode::cancelled, "interrupted");
  }
}

void add_sampling_options(CLI::App& command, RunArguments& arguments) {
  const tyto::SamplerOptions usual;  // Model::default_sampling() of every model, so far
  const auto add = [&](const char* name, auto& value, const char* what, auto otherwise) {
    command.add_option(name, value, fmt::format("{}; {}, if not given", what, otherwise));
  };
  add("--temp", arguments.temperature, "Temperature; 0 is greedy", usual.temperature);
  add("--top-k", arguments.top_k, "Keep the k most probable tokens; 0 is off", usual.top_k);
  add("--top-p", arguments.top_p,
      "Keep the most probable tokens that hold this probability; 1 is off", usual.top_p);
  add("--min-p", arguments.min_p,
      "Keep tokens this probable, relative to the most probable one; 0 is off", usual.min_p);
  add("--typical-p", arguments.typical_p,
      "Keep the most typical tokens that hold this probability; 1 is off", usual.typical_p);
  add("--repeat-penalty", arguments.repeat_penalty, "Against repeating the last tokens; 1 is off",
      usual.repeat_penalty);
  command.add_option("--seed", arguments.seed,
                     "Seed of the draws; 0, if not given: the same text each time");
}

}  // namespace

void add_run(CLI::App& app, Program& program) {
  CLI::App* command = app.add_subcommand(
      "run", "Stream a completion; without MODEL, the built-in model tells a story");
  const auto arguments = std::make_shared<RunArguments>();
  add_model_option(*command, arguments->model)->required(false);
  auto* prompt = command->add_option("-p,--prompt", arguments->prompt, "The text to go on with");
  command->add_option("-f,--file", arguments->prompt_file, "A file with that text; - is stdin")
      ->excludes(prompt);
  command->add_flag("--no-prompt", arguments->hide_prompt, "Do not repeat the prompt on stdout");
  command->add_option("-n,--tokens", arguments->generate.max_tokens, "The most tokens to generate")
      ->check(CLI::Range(0, 1 << 30))
      ->capture_default_str();
  command->add_option("--stop", arguments->generate.stop,
                      "Stop before this text; may be given more than once");
  add_sampling_options(*command, *arguments);
  add_json_option(*command, program);
  add_compute_options(*command, arguments->model);
  command->callback([arguments, &program] { run(*arguments, program); });
}

}  // namespace cli
