// tyto logits: the logits of every position of given tokens or text, as a NumPy file.
#include <fmt/format.h>

#include <optional>
#include <sstream>

#include "examples/cli/binary_file.h"
#include "examples/cli/carry.h"
#include "examples/cli/program.h"

namespace cli {
namespace {

using Ids = std::vector<tyto::TokenId>;

struct LogitsArguments {
  ModelArguments model;
  std::optional<std::string> ids;
  std::string ids_file, text_file, out;
};

// A sequence for each line of the ids; empty lines are passed over.
std::vector<Ids> sequences_of(const LogitsArguments& arguments, const tyto::Tokenizer& tokenizer) {
  if (!arguments.text_file.empty())
    return {tokenizer.encode(read_file(arguments.text_file), {.add_special = true}).value()};
  if (arguments.ids) return {parse_ids(*arguments.ids)};
  std::vector<Ids> sequences;
  std::istringstream lines(read_file(arguments.ids_file));
  for (std::string line; std::getline(lines, line);)
    if (Ids ids = parse_ids(line); !ids.empty()) sequences.push_back(std::move(ids));
  return sequences;
}

// NumPy's format, version 1.0 (numpy.lib.format): [rows, columns] float32, little-endian, which all
// we run on is.
void write_npy_header(BinaryWriter& out, std::size_t rows, std::size_t columns) {
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
  constexpr std::size_t kPreamble = 10;
  header.append(63 - (kPreamble + header.size()) % 64, ' ').append("\n");
  const auto size = static_cast<unsigned>(header.size());
  const std::string preamble{'\x93',
                             'N',
                             'U',
                             'M',
                             'P',
                             'Y',
                             1,
                             0,
                             static_cast<char>(size & 255),
                             static_cast<char>(size >> 8)};
  out.write(std::span<const char>(preamble + header));
}

void logits(const LogitsArguments& arguments, Program& program) {
  const tyto::Model model = load_model(arguments.model, program);
  const std::vector<Ids> sequences = sequences_of(arguments, model.tokenizer());
  std::size_t tokens = 0;
  for (const Ids& ids : sequences) tokens += ids.size();
  if (tokens == 0) fail(tyto::ErrorCode::bad_argument, "there are no tokens to compute");
  tyto::Session session =
      model.new_session({.context = context_of(arguments.model), .cancel = &program.cancel})
          .value();

  Carry carry;
  BinaryWriter out(arguments.out);
  write_npy_header(out, tokens, static_cast<std::size_t>(model.vocab_size()));
  for (const Ids& ids : sequences) {
    session.truncate(0).value();
    const auto write_row = [&](std::size_t, std::span<const float> row) {
      return carry([&] { return out.write(row), true; });
    };
    session.score(ids, write_row).value();
    carry.rethrow();
  }
  out.close();
  if (!program.json)
    return say(fmt::format("{}: [{}, {}] float32", arguments.out, tokens, model.vocab_size()));
  JsonObject object("tyto.logits.v1");
  object.text("model", model.describe()).text("out", arguments.out);
  object.integer("tokens", static_cast<std::int64_t>(tokens)).integer("vocab", model.vocab_size());
  write_json(object);
}

}  // namespace

void add_logits(CLI::App& app, Program& program) {
  CLI::App* command = app.add_subcommand("logits", "The logits of every position, as a NumPy file");
  const auto arguments = std::make_shared<LogitsArguments>();
  add_model_option(*command, arguments->model);
  CLI::Option_group* input = command->add_option_group("input");
  input->add_option("--ids", arguments->ids, "Token ids");
  input->add_option("--ids-file", arguments->ids_file,
                    "A file of token ids, a sequence on each line; - is stdin");
  input->add_option("-f,--file", arguments->text_file,
                    "A text, to which begin and end tokens are added; - is stdin");
  input->require_option(1);
  command->add_option("--out", arguments->out, "The file to write: float32 [tokens, vocab]")
      ->required();
  add_json_option(*command, program);
  add_compute_options(*command, arguments->model);
  command->callback([arguments, &program] { logits(*arguments, program); });
}

}  // namespace cli
