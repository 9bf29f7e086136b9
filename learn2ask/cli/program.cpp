#include "cli/program.h"

#include <algorithm>

#include "base/error.h"
#include "cli/command.h"

namespace l2a {
namespace {

void parse(CLI::App& program, const CommandLine& command) {
  CommandLine reversed(command.rbegin(), command.rend());  // as CLI11 wants its vector
  try {
    program.parse(reversed);
  } catch (const CLI::ParseError& e) {
    fail_input("command: " + joined(command) + ": " + e.what());
  }
}

}  // namespace

std::unique_ptr<CLI::App> make_program() {
  auto app = std::make_unique<CLI::App>(
      "learn2ask: from logs of expert conversations to a model that knows what to ask next\n"
      "and when to stop asking.\n\n"
      "logs -> import -> label -> calibrate -> train sft -> train grpo -> eval -> chat, export");
  app->name("learn2ask");
  app->set_version_flag("--version", "learn2ask " L2A_VERSION);
  app->require_subcommand(1);
  add_generate_command(*app);
  add_import_command(*app);
  add_label_command(*app);
  add_grade_command(*app);
  add_calibrate_command(*app);
  add_inspect_command(*app);
  add_train_command(*app);
  add_eval_command(*app);
  add_chat_command(*app);
  add_model_command(*app);
  add_export_command(*app);
  add_serve_reward_command(*app);
  add_export_dataset_command(*app);
  add_demo_command(*app);
  return app;
}

void run_command(const CommandLine& command) { parse(*make_program(), command); }

void check_command(const CommandLine& command) {
  struct AllIsRead {};  // thrown where the callbacks' turn would come
  const auto program = make_program();
  program->parse_complete_callback([] { throw AllIsRead(); });
  try {
    parse(*program, command);
  } catch (const AllIsRead&) {
  }
}

}  // namespace l2a
