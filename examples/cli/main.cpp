// tyto: the library as a program. Data goes to stdout, words for people to stderr.
#include <fmt/format.h>

#include <cstring>
#include <new>
#include <string>
#include <system_error>

#include "examples/cli/program.h"

namespace {

std::string version_text() {
  const tyto::Version v = tyto::version();
  return fmt::format("tyto {}.{}.{}", v.major, v.minor, v.patch);
}

int report(const tyto::Error& error, const cli::Program& program) {
  const bool interrupted = error.code() == tyto::ErrorCode::cancelled && program.cancel.requested();
  const std::string message(interrupted ? "interrupted" : error.message());
  if (program.json) {
    cli::JsonObject object("tyto.error.v1");
    cli::write_json(object.text("code", tyto::name(error.code())).text("message", message));
  }
  cli::say("tyto: " + message);
  return cli::exit_code(error.code());
}

int run(int argc, char** argv, cli::Program& program) {
  CLI::App app("Language models on the command line", "tyto");
  app.set_version_flag("--version", version_text());
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 good, 2 wrong command line, 65 bad data, 70 a bug, 75 memory, device or disk "
      "failed, 130 interrupted");
  for (const auto add : {cli::add_run, cli::add_tokenize, cli::add_inspect, cli::add_bench,
                         cli::add_perplexity, cli::add_logits, cli::add_pack})
    add(app, program);
  // CLI11 would say of any other word that a subcommand is required.
  const auto is_meant = [&](CLI::App* command) { return command->check_name(argv[1]); };
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(is_meant).empty()) {
    cli::say(fmt::format("tyto: there is no command \"{}\"; tyto --help lists them", argv[1]));
    return cli::kUsage;
  }
  try {
    app.parse(argc, argv);
    return cli::kGood;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? cli::kGood : cli::kUsage;
  }
}

}  // namespace

int main(int argc, char** argv) {
  cli::Program program;
  cli::handle_signals(program.cancel);
  try {
    try {
      return run(argc, argv, program);
    } catch (const tyto::Exception& exception) {
      return report(exception.error, program);
    } catch (const std::bad_alloc&) {
      return report(tyto::Error(tyto::ErrorCode::no_memory), program);
    }
  } catch (const std::system_error& error) {  // of a thread or a file of the program's own
    cli::say(std::string("tyto: ") + error.what());
    return cli::kTemporary;
  } catch (const cli::OutputError& error) {
    cli::say("tyto: " + error.path + ": " + std::strerror(error.error_number));
    return cli::kTemporary;
  }
}
