// `learn2ask calibrate overrides`: what people said of labels, for `label --overrides`.
#include <cstdio>
#include <memory>
#include <set>

#include <fmt/format.h>

#include "base/file.h"
#include "base/jsonl.h"
#include "calibrate/gold_overrides.h"
#include "cli/calibrate_command.h"
#include "cli/command.h"
#include "cli/gold_files.h"

namespace l2a {
namespace {

struct OverridesArguments {
  std::vector<std::string> items, labels;
  std::string out;
};

// Of all files, each item once.
std::vector<CalibrationItem> read_all_items(const std::vector<std::string>& paths) {
  std::vector<CalibrationItem> all;
  std::set<std::string> ids;
  for (const std::string& path : paths) {
    for (CalibrationItem& item : read_calibration_items(path)) {
      if (ids.insert(item.id).second) all.push_back(std::move(item));
    }
  }
  return all;
}

void write_overrides(const OverridesArguments& arguments) {
  const auto items = read_all_items(arguments.items);
  const GoldLabels labels = read_gold_files(arguments.labels, ItemIndex(items));
  const auto forms = QuestionForms::load(data_path("prompts/questions"));
  const GoldOverrides overrides = gold_overrides(items, labels, forms);
  if (overrides.lines.empty()) {
    fail_input(fmt::format(
        "calibrate overrides: nobody has judged all of an extract or stop item, or people disagree "
        "about all that were judged ({})",
        overrides.disputed));
  }
  require_replaceable(arguments.out, "learn2ask calibrate overrides");
  AtomicFile out(arguments.out);
  out.write_line(dump_json(to_json(FileHeader{.format = "overrides",
                                              .command = "learn2ask calibrate overrides",
                                              .input_sha256 = gold_sha256(arguments.labels)})));
  for (const Json& line : overrides.lines) out.write_line(dump_json(line));
  out.commit();
  std::printf(
      "%zu turns judged -> %s; left out: %zu judgements that people disagree about, %zu turns "
      "after one that they stop at\n",
      overrides.lines.size(), arguments.out.c_str(), overrides.disputed, overrides.past_stop);
}

}  // namespace

void add_calibrate_overrides(CLI::App& calibrate) {
  auto* command = calibrate.add_subcommand(
      "overrides", "What people said of labels, as corrections for `learn2ask label --overrides`");
  auto arguments = std::make_shared<OverridesArguments>();
  command->add_option("ITEMS", arguments->items, "extract and stop items that people judged; files")
      ->required();
  command->add_option("--labels", arguments->labels, "what they said")
      ->required()
      ->type_name("GOLD");
  command->add_option("--out", arguments->out, "corrections to write")
      ->required()
      ->type_name("FILE");
  command->callback([=] { write_overrides(*arguments); });
}

}  // namespace l2a
