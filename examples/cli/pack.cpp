// tyto pack: a model as one instruction set wants it, in a file that starts at once. What it says
// of the file in the end it reads from there, by src/file.
#include <fmt/format.h>

#include "examples/cli/program.h"
#include "src/file/packed.h"

namespace cli {
namespace {

void pack(const ModelArguments& arguments, const std::string& out, Program& program) {
  const auto begin = tyto::Clock::now();
  const tyto::ModelOptions options = model_options(arguments, program, context_of(arguments));
  tyto::Model::pack(arguments.path, out, options).value();
  const double seconds = seconds_since(begin);

  const auto packed =
      tyto::file::PackedFile::open(tyto::file::os_files().open(out).value(), out).value();
  const std::uint64_t bytes = packed->header().weights_bytes;
  if (!program.json)
    return say(fmt::format("{}: {:.1f} MiB of weights for {} in {:.2f} s", out,
                           static_cast<double>(bytes) / (1 << 20), packed->table(), seconds));
  JsonObject object("tyto.pack.v1");
  object.text("file", out).text("table", packed->table()).bytes("weights", bytes);
  object.text("source_hash", tyto::hex(packed->header().source_hash));
  write_json(object.number("seconds", seconds));
}

}  // namespace

void add_pack(CLI::App& app, Program& program) {
  CLI::App* command = app.add_subcommand("pack", "Write a packed file, which is loaded in no time");
  const auto arguments = std::make_shared<ModelArguments>();
  const auto out = std::make_shared<std::string>();
  command->add_option("IN", arguments->path, "A GGUF file, or the first of a split one")
      ->required();
  command->add_option("OUT", *out, "The packed file; one that is there is replaced")->required();
  add_threads_option(*command, *arguments);
  add_isa_option(*command, *arguments);
  add_json_option(*command, program);
  command->callback([arguments, out, &program] { pack(*arguments, *out, program); });
}

}  // namespace cli
