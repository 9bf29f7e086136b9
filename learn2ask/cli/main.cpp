// The program. Holds the list of subcommands and the only catch: every Failure becomes one line
// on standard error and exit code 1; wrong usage is exit code 2.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "base/error.h"
#include "base/interrupt.h"
#include "cli/command.h"

namespace {

constexpr int kExitBadInput = 1, kExitUsage = 2;

void add_commands(CLI::App& app) {
  l2a::add_generate_command(app);
  l2a::add_import_command(app);
  l2a::add_label_command(app);
  l2a::add_inspect_command(app);
  l2a::add_train_command(app);
  l2a::add_eval_command(app);
  l2a::add_chat_command(app);
  l2a::add_model_command(app);
  l2a::add_demo_command(app);
}

int parse_and_run(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& e) {
    // CLI11 uses ParseError for --help too, with code 0.
    return app.exit(e) == 0 ? 0 : kExitUsage;
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("learn2ask: from logs of expert conversations to a model that knows what to ask next\n"
               "and when to stop asking.\n\n"
               "logs -> import -> label -> train sft -> train grpo -> eval -> chat");
  app.name("learn2ask");
  app.set_version_flag("--version", "learn2ask " L2A_VERSION);
  app.require_subcommand(1);
  add_commands(app);
  l2a::install_interrupt_handlers();
  try {
    return parse_and_run(app, argc, argv);
  } catch (const l2a::Failure& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "error: memory: not enough for this command\n");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: internal: %s\n", e.what());
  }
  return kExitBadInput;
}
