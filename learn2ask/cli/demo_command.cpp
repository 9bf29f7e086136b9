// `learn2ask demo`: a recipe from logs to a report, step by step.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/clock.h"
#include "base/file.h"
#include "base/file_lock.h"
#include "base/jsonl.h"
#include "cli/command.h"
#include "cli/program.h"
#include "cli/recipe.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOnYourOwnLogs = R"(
The same on your own logs:
  learn2ask import YOUR-LOGS.jsonl --out mine/data
  learn2ask label mine/data/train.jsonl --out mine/labels/train.jsonl   (and dev, test)
  learn2ask train sft mine/labels/train.jsonl --dev mine/labels/dev.jsonl --out mine/sft
  learn2ask train grpo mine/labels/train.jsonl --dev mine/labels/dev.jsonl --adapter mine/sft/adapter --out mine/grpo
  learn2ask eval mine/labels/test.jsonl --split test --policy base --policy SFT=mine/sft --policy GRPO=mine/grpo --out mine/eval
Talk to it:
  learn2ask chat --adapter )";

void refuse_another_recipe(const std::string& out, const std::vector<std::string>& finished,
                           const std::vector<CommandLine>& commands) {
  for (size_t i = 0; i < finished.size(); ++i) {
    if (i < commands.size() && finished[i] == joined(commands[i])) continue;
    fail_input("demo: " + out + ": was made by other steps (step " + std::to_string(i + 1) +
               " was '" + finished[i] + "'): give another --out");
  }
}

// A slip in the last step shows now, not after hours.
void check_steps(const std::vector<CommandLine>& commands) {
  for (size_t i = 0; i < commands.size(); ++i) {
    try {
      check_command(commands[i]);
    } catch (const Failure& failure) {
      fail(failure.error.code, "demo: step " + std::to_string(i + 1) + ": " + failure.what());
    }
  }
}

void run_step(const CommandLine& command, Journal& journal) {
  const auto start = Clock::system().now();
  run_command(command);
  const std::chrono::duration<double> spent = Clock::system().now() - start;
  std::printf("(%s)\n\n", format_duration(spent).c_str());
  std::fflush(stdout);
  journal.append(dump_json({{"command", joined(command)}, {"seconds", spent.count()}}));
}

// A folder's name in one spelling, so that "x" and "x/" are the same steps.
std::string one_spelling(const std::string& folder) {
  const fs::path path = fs::path(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).string();
}

// What stands for ${name} in a recipe.
RecipeVariables variables_of(const std::string& out, uint64_t seed, const std::string& data) {
  if (data.empty()) return {{"out", out}, {"seed", std::to_string(seed)}, {"data", std::nullopt}};
  if (!fs::is_directory(data)) {
    fail(ErrorCode::kNotFound, "demo: --data: " + data + ": no such folder");
  }
  return {{"out", out}, {"seed", std::to_string(seed)}, {"data", data}};
}

// What the last step printed, when an earlier call ran it: its tables, and where the page is.
void show_results(const CommandLine& evaluation) {
  const auto out = std::find(evaluation.begin(), evaluation.end(), "--out");
  if (out == evaluation.end() || out + 1 == evaluation.end()) return;
  const fs::path folder = *(out + 1);
  if (!fs::exists(folder / "eval.md")) return;
  std::printf("%s\nreport: %s\n", read_file(folder / "eval.md").c_str(),
              (folder / "report.html").c_str());
}

void run_recipe(const std::string& recipe, const std::string& out, const RecipeVariables& values) {
  const auto commands = read_recipe(recipe, values);
  check_steps(commands);
  make_private_directory(out);
  const DirectoryLock lock(out);
  const fs::path journal_path = fs::path(out) / "steps.jsonl";
  Journal journal(journal_path);                     // repairs a torn last line
  const auto finished = read_history(journal_path);  // by earlier calls
  refuse_another_recipe(out, finished, commands);
  for (size_t i = 0; i < commands.size(); ++i) {
    const std::string line = joined(commands[i]);
    std::printf("[%zu/%zu] learn2ask %s\n", i + 1, commands.size(), line.c_str());
    std::fflush(stdout);
    if (i < finished.size()) {
      std::printf("(done before)\n\n");
      continue;
    }
    run_step(commands[i], journal);
  }
  if (finished.size() == commands.size()) show_results(commands.back());
  std::printf("%s%s/grpo/adapter\n", kOnYourOwnLogs, out.c_str());
}

}  // namespace

void add_demo_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "demo", "From logs to a trained, measured policy, step by step; ends with a report page");
  auto recipe = std::make_shared<std::string>();
  auto out = std::make_shared<std::string>("runs/demo");
  auto seed = std::make_shared<uint64_t>(1);
  auto data = std::make_shared<std::string>();
  command->add_option("--recipe", *recipe, "the steps; default: recipes/demo.yaml")
      ->type_name("FILE");
  command->add_option("--out", *out, "folder of everything; an interrupted demo goes on there")
      ->capture_default_str()
      ->type_name("DIR");
  command->add_option("--seed", *seed, "of the logs and of training")->capture_default_str();
  command->add_option("--data", *data, "folder of your logs, where the recipe starts from some")
      ->type_name("DIR");
  command->callback([=] {
    const std::string folder = one_spelling(*out);
    run_recipe(recipe->empty() ? data_path("recipes/demo.yaml") : *recipe, folder,
               variables_of(folder, *seed, one_spelling(*data)));
  });
}

}  // namespace l2a
