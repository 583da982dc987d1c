// What the commands share: options, loading a model, output.
#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "examples/cli/exit_code.h"
#include "examples/cli/json.h"
#include "examples/cli/system.h"
#include "tyto/tyto.h"

namespace cli {

struct Program {
  tyto::Cancel cancel;                          // requested by Ctrl-C
  bool json = false;                            // the chosen command was asked for JSON
  std::shared_ptr<tyto::TraceSink> trace = {};  // of models that are loaded after it is set
};

// One command each: adds itself to the program.
void add_run(CLI::App& app, Program& program);
void add_pack(CLI::App& app, Program& program);
void add_tokenize(CLI::App& app, Program& program);
void add_inspect(CLI::App& app, Program& program);
void add_bench(CLI::App& app, Program& program);
void add_perplexity(CLI::App& app, Program& program);
void add_logits(CLI::App& app, Program& program);

// A model and how to compute with it: the options of every command that computes.
struct ModelArguments {
  std::string path;
  int threads = 0;
  std::string device = "auto";
  std::string isa = "best";
  std::string cache_type = "bf16";
  int context = 0;  // 0: the model's own, kDefaultContext at most
  std::uint64_t memory = 0;
  std::string packed_cache;  // empty: none
  bool verify_packed = false;
};
inline constexpr int kDefaultContext = 4096;

void add_json_option(CLI::App& command, Program& program);
CLI::Option* add_model_option(CLI::App& command, ModelArguments& arguments);
void add_threads_option(CLI::App& command, ModelArguments& arguments);
void add_isa_option(CLI::App& command, ModelArguments& arguments);
void add_compute_options(CLI::App& command, ModelArguments& arguments);

// `tokens` of cache for `sequences` sessions at once. The log goes to stderr; Ctrl-C cancels
// loading.
tyto::ModelOptions model_options(const ModelArguments& arguments, Program& program, int tokens,
                                 int sequences = 1);
// The tokens that a session may have, unless the model allows fewer.
int context_of(const ModelArguments& arguments);
tyto::Model load_model(const ModelArguments& arguments, const tyto::ModelOptions& options);
// For models with room for one session of context_of() tokens.
tyto::Model load_model(const ModelArguments& arguments, Program& program);

tyto::Tokenizer load_tokenizer(const std::string& path);

// The text of -p, or of the file of -f, or of stdin where it is no terminal. Throws bad_argument if
// there is none.
std::string read_text(const std::string* text, const std::string& file);

// Whitespace-separated token ids.
std::vector<tyto::TokenId> parse_ids(std::string_view text);

[[noreturn]] void fail(tyto::ErrorCode code, const std::string& message);

void write_json(const JsonObject& object);
// A line for people, on stderr.
void say(std::string_view line);

double seconds_since(tyto::Clock::time_point begin);

}  // namespace cli
