// learn2ask import: logs of any known format -> train.jsonl, dev.jsonl, test.jsonl.
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <utility>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/run_directory.h"
#include "dialogue/import.h"

namespace l2a {
namespace {

constexpr const char* kStandardInput = "-";
constexpr const char* kStandardInputName = "standard input";

struct ImportSettings {
  ImportOptions import;

  template <class Visitor>
  void visit(Visitor& v) {
    v.group("import", import);
  }
};

struct ImportArguments {
  std::vector<std::string> logs, train, dev, test;
  std::string out, format, session_gap;
  bool redact = false;
};

// The options that have a flag of their own: the flag wins.
ImportSettings resolve(const ImportArguments& args, const Settings& settings) {
  auto resolved = settings.read<ImportSettings>();
  if (!args.format.empty()) resolved.import.format = args.format;
  if (!args.session_gap.empty()) resolved.import.session_gap = args.session_gap;
  if (args.redact) resolved.import.redact = true;
  return resolved;
}

std::vector<ImportInput> inputs_of(const ImportArguments& args) {
  std::vector<ImportInput> inputs;
  bool spooled = false;
  const auto add = [&](const std::vector<std::string>& names, std::optional<Split> split) {
    for (const std::string& name : names) {
      if (name == kStandardInput) {
        if (std::exchange(spooled, true)) fail_input("import: -: standard input is there once");
        inputs.push_back({spool_input(std::cin, args.out), kStandardInputName, split});
      } else {
        inputs.push_back({name, name, split});
      }
    }
  };
  add(args.logs, std::nullopt);
  add(args.train, Split::kTrain);
  add(args.dev, Split::kDev);
  add(args.test, Split::kTest);
  return inputs;
}

// Of standard input, which are not redacted: they go once they are no longer needed.
void remove_copies(const std::vector<ImportInput>& inputs) {
  for (const ImportInput& input : inputs) {
    if (input.name == kStandardInputName) std::filesystem::remove(input.path);
  }
}

std::string typed(const ImportArguments& args) {
  std::string text = "import";
  for (const auto& log : args.logs) text += " " + log;
  for (const auto& log : args.train) text += " --train " + log;
  for (const auto& log : args.dev) text += " --dev " + log;
  for (const auto& log : args.test) text += " --test " + log;
  return text + " --out " + args.out;
}

void run(const ImportArguments& args, const Settings& settings) {
  const bool splits_given = !args.train.empty() || !args.dev.empty() || !args.test.empty();
  if (args.logs.empty() == !splits_given) {
    fail_input(
        "import: give either LOGS, to be split, or --train, --dev and --test files, which stay as "
        "they are");
  }
  const ImportSettings resolved = resolve(args, settings);
  const RunDirectory directory(args.out, list_config(resolved), {});
  const FileHeader header{.format = "sessions",
                          .command = typed(args),
                          .config_sha256 = directory.config_sha256(),
                          .input_sha256 = {}};
  const std::vector<ImportInput> inputs = inputs_of(args);

  Progress progress("import", std::nullopt, "sessions");
  ImportReport report;
  try {
    report = import_logs(inputs, resolved.import, header, args.out, [&] {
      throw_if_interrupted();
      progress.advance();
    });
  } catch (...) {
    if (!is_interrupted()) remove_copies(inputs);
    throw;
  }
  progress.finish();
  directory.keep();
  remove_copies(inputs);
  std::printf("%swritten   %s\n", summary_of(report).c_str(), args.out.c_str());
}

}  // namespace

void add_import_command(CLI::App& app) {
  auto& command = *app.add_subcommand("import", "Read logs of conversations and split them");
  auto args = std::make_shared<ImportArguments>();
  command.add_option("LOGS", args->logs, "JSONL or CSV logs; - is standard input");
  command.add_option("--train", args->train, "a log that is the training split already");
  command.add_option("--dev", args->dev, "a log that is the dev split already");
  command.add_option("--test", args->test, "a log that is the test split already");
  command.add_option("--out", args->out, "folder for the splits and the report")->required();
  command.add_option("--format", args->format, "auto, realmedconv, openai, sharegpt or csv")
      ->check(CLI::IsMember(kLogFormatNames));
  command.add_option("--session-gap", args->session_gap,
                     "a silence longer than this starts a new session: 30m, 2h");
  command.add_flag("--redact", args->redact, "replace e-mail addresses, phone and card numbers");
  auto settings = Settings::add<ImportSettings>(command);
  command.callback([args, settings] { run(*args, *settings); });
}

}  // namespace l2a
