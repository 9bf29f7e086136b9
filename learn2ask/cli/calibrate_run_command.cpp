// `learn2ask calibrate run`: a better prompt for a grader, an extractor or the policy, or the
// thresholds of match and words.
#include <cstdio>
#include <set>
#include <string>
#include <utility>

#include "cli/calibrate_command.h"
#include "cli/command.h"
#include "cli/prompt_calibration.h"
#include "cli/threshold_calibration.h"

namespace l2a {
namespace {

// Files that say nothing about what is searched for are slips.
void refuse_files_of_others(const CLI::App& command, const std::string& what) {
  const std::pair<const char*, std::set<std::string>> files[] = {{"--items", {"grade", "extract"}},
                                                                 {"--labels", {"grade", "extract"}},
                                                                 {"--sessions", {"extract"}},
                                                                 {"--contexts", {"policy"}},
                                                                 {"--train", {"match"}},
                                                                 {"--dev", {"match"}}};
  for (const auto& [option, searches] : files) {
    if (searches.contains(what)) continue;
    refuse_options(command, "calibrate run", {option}, "not with --what " + what);
  }
}

}  // namespace

void add_calibrate_run(CLI::App& calibrate) {
  auto* command = calibrate.add_subcommand(
      "run", "Search for a better prompt, or fit the thresholds of match and words");
  struct Arguments {
    std::string what = "grade";
    PromptCalibrationFiles search;
    ThresholdFiles thresholds;
    bool dry_run = false;
  };
  auto arguments = std::make_shared<Arguments>();
  PromptCalibrationFiles& files = arguments->search;
  command
      ->add_option("--what", arguments->what,
                   "grade, extract: the prompt of the grader or extractor llm; policy: the system "
                   "prompt; match: thresholds, without any language model")
      ->check(CLI::IsMember({"grade", "extract", "policy", "match"}))
      ->capture_default_str();
  command->add_option("--items", files.items, "grade, extract: items that people labelled")
      ->type_name("ITEMS");
  command->add_option("--labels", files.labels, "grade, extract: what they said")
      ->type_name("GOLD");
  command->add_option("--sessions", files.sessions, "extract: the sessions that the items are of")
      ->type_name("SESSIONS");
  command->add_option("--contexts", files.contexts, "policy: labelled sessions to reply in")
      ->type_name("LABELS");
  command
      ->add_option("--train", arguments->thresholds.train,
                   "match: sessions whose questions people labelled")
      ->type_name("SESSIONS");
  command->add_option("--dev", arguments->thresholds.dev, "match: others, to measure on")
      ->type_name("SESSIONS");
  command
      ->add_option("--out", files.out,
                   "folder for what is found; a search that was interrupted goes on there")
      ->required()
      ->type_name("DIR");
  add_dry_run(*command, arguments->dry_run);
  auto settings = Settings::add<PromptCalibrationSettings>(*command);
  command->callback([=] {
    const auto& given = *arguments;
    refuse_files_of_others(*command, given.what);
    const auto resolved = settings->read<PromptCalibrationSettings>();
    if (given.dry_run) {
      const bool asks = given.what != "match" && resolved.llm.in_process.empty();
      std::printf(
          "%s\n",
          asks ? to_text(estimate_prompt_calibration(given.what, resolved, given.search)).c_str()
               : kNoCalls);
    } else if (given.what == "match") {
      ThresholdFiles to_fit = given.thresholds;
      to_fit.out = given.search.out;
      calibrate_thresholds(to_fit);
    } else {
      calibrate_prompt(given.what, resolved, given.search);
    }
  });
}

}  // namespace l2a
