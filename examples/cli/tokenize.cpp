// tyto tokenize: text to token ids and pieces, and back.
#include <optional>

#include "examples/cli/program.h"

namespace cli {
namespace {

struct TokenizeArguments {
  std::string model;
  std::optional<std::string> text;
  std::string file;
  bool only_ids = false, decode = false;
  tyto::EncodeOptions encode;
};

void decode(const tyto::Tokenizer& tokenizer, const std::string& input, const Program& program) {
  const std::string text = tokenizer.decode(parse_ids(input)).value();
  if (program.json) {
    write_json(JsonObject("tyto.tokenize.v1").text("text", text));
  } else {
    write_out(text);
  }
}

std::string as_json(const tyto::Tokenizer& tokenizer, const std::vector<tyto::TokenId>& ids) {
  JsonArray numbers, pieces;
  for (const tyto::TokenId id : ids) {
    numbers.integer(id);
    pieces.text(tokenizer.piece(id));
  }
  JsonObject object("tyto.tokenize.v1");
  object.integer("count", static_cast<std::int64_t>(ids.size()));
  return object.raw("ids", numbers.done()).raw("pieces", pieces.done()).done() + "\n";
}

std::string as_ids(const std::vector<tyto::TokenId>& ids) {
  std::string line;
  for (const tyto::TokenId id : ids) line += (line.empty() ? "" : " ") + std::to_string(id);
  return line + "\n";
}

// A line for each token: its id, and its piece as the vocabulary writes it.
std::string as_table(const tyto::Tokenizer& tokenizer, const std::vector<tyto::TokenId>& ids) {
  std::string table;
  for (const tyto::TokenId id : ids) {
    const std::string number = std::to_string(id);
    table.append(number.size() < 7 ? 7 - number.size() : 0, ' ').append(number).append("  ");
    table.append(tokenizer.piece(id)).append("\n");
  }
  return table;
}

void tokenize(const TokenizeArguments& arguments, const Program& program) {
  const std::string input = read_text(arguments.text ? &*arguments.text : nullptr, arguments.file);
  const tyto::Tokenizer tokenizer = load_tokenizer(arguments.model);
  if (arguments.decode) return decode(tokenizer, input, program);
  const std::vector<tyto::TokenId> ids = tokenizer.encode(input, arguments.encode).value();
  if (program.json) return write_out(as_json(tokenizer, ids));
  write_out(arguments.only_ids ? as_ids(ids) : as_table(tokenizer, ids));
}

}  // namespace

void add_tokenize(CLI::App& app, Program& program) {
  CLI::App* command = app.add_subcommand("tokenize", "Text to token ids and pieces, and back");
  const auto arguments = std::make_shared<TokenizeArguments>();
  command->add_option("MODEL", arguments->model, "A GGUF file; one without weights will do")
      ->required();
  auto* text =
      command->add_option("-p,--prompt", arguments->text, "The text, or the ids to decode");
  command->add_option("-f,--file", arguments->file, "A file with them; - is stdin")->excludes(text);
  auto* ids = command->add_flag("--ids", arguments->only_ids, "Only ids, in one line");
  auto* decode =
      command->add_flag("--decode", arguments->decode, "From ids to text")->excludes(ids);
  command
      ->add_flag("--add-special", arguments->encode.add_special,
                 "Add the begin and end tokens of the model")
      ->excludes(decode);
  command
      ->add_flag("--parse-special", arguments->encode.parse_special,
                 "Let the text name control tokens")
      ->excludes(decode);
  add_json_option(*command, program);
  command->callback([arguments, &program] { tokenize(*arguments, program); });
}

}  // namespace cli
