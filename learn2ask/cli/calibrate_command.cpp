// `learn2ask calibrate`: a few labels by people, and what they say about graders, extraction and
// prompts.
#include "cli/calibrate_command.h"

#include "cli/command.h"

namespace l2a {

void add_calibrate_command(CLI::App& app) {
  auto* calibrate = app.add_subcommand(
      "calibrate",
      "Hold graders, extraction and prompts against what a few people say, and improve them\n"
      "sample -> ui -> report -> run");
  calibrate->require_subcommand(1);
  add_calibrate_sample(*calibrate);
  add_calibrate_ui(*calibrate);
  add_calibrate_import(*calibrate);
  add_calibrate_export(*calibrate);
  add_calibrate_overrides(*calibrate);
  add_calibrate_report(*calibrate);
  add_calibrate_run(*calibrate);
}

}  // namespace l2a
