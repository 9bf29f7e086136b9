// `learn2ask calibrate export` and `import`: gold labels as a spreadsheet or as JSONL of one's own.
#include <cstdio>
#include <fstream>
#include <map>

#include "base/file.h"
#include "base/jsonl.h"
#include "calibrate/gold_sheet.h"
#include "cli/calibrate_command.h"
#include "cli/command.h"
#include "cli/gold_files.h"

namespace l2a {
namespace {

struct ExportArguments {
  std::string items, by, out;
  std::vector<std::string> labels;
};

void export_sheet(const ExportArguments& arguments) {
  refuse_overwriting("calibrate export", arguments.out);  // it may hold labels by now
  const auto items = read_calibration_items(arguments.items);
  const GoldLabels labels = read_gold_files(arguments.labels, ItemIndex(items));
  write_file_atomic(arguments.out, gold_sheet(items, labels, arguments.by));
  std::printf(
      "%zu items written to %s; fill in 'label' and take it back: learn2ask calibrate "
      "import %s --items %s --labels GOLD\n",
      items.size(), arguments.out.c_str(), arguments.out.c_str(), arguments.items.c_str());
}

struct ImportArguments {
  std::string file, items, by, labels;
};

std::vector<GoldLabel> read_any(const ImportArguments& arguments, const ItemIndex& items) {
  if (arguments.file.ends_with(".csv")) {
    std::ifstream in(arguments.file, std::ios::binary);
    if (!in) fail(ErrorCode::kNotFound, arguments.file + ": no such file");
    return read_gold_sheet(in, arguments.file, items, arguments.by);
  }
  std::vector<GoldLabel> labels;
  for_each_row(arguments.file, "gold_labels", [&](JsonLine&& line) {
    if (!line.value.contains("by")) line.value["by"] = arguments.by;
    labels.push_back(gold_label_from_json(line.value, items).value_or_throw());
  });
  return labels;
}

// All lines are read before one is written.
void import_labels(const ImportArguments& arguments) {
  const auto items = read_calibration_items(arguments.items);
  const ItemIndex index(items);
  const auto labels = read_any(arguments, index);
  std::map<std::pair<std::string, std::string>, size_t> last;  // by item and name
  for (size_t i = 0; i < labels.size(); ++i) last[{labels[i].item, labels[i].by}] = i;
  GoldLabelFile gold(arguments.labels, index);
  size_t added = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const GoldLabel& label = labels[i];
    if (last.at({label.item, label.by}) != i) continue;
    const GoldLabel* before = gold.labels().find(label.item, label.by);
    const bool is_known = before != nullptr ? to_json(*before) == to_json(label) : label.undone;
    if (is_known) continue;
    gold.put(label);
    ++added;
  }
  std::printf("%zu labels read, %zu of them new, added to %s\n", labels.size(), added,
              arguments.labels.c_str());
}

}  // namespace

void add_calibrate_export(CLI::App& calibrate) {
  auto* command = calibrate.add_subcommand("export", "Items as a spreadsheet (CSV) to label in");
  auto arguments = std::make_shared<ExportArguments>();
  command->add_option("ITEMS", arguments->items, "items, as calibrate sample wrote them")
      ->required();
  command->add_option("--by", arguments->by, "who will label")->required()->type_name("NAME");
  command->add_option("--labels", arguments->labels, "what was said so far")->type_name("GOLD");
  command->add_option("--out", arguments->out, "CSV to write")->required()->type_name("FILE");
  command->callback([=] { export_sheet(*arguments); });
}

void add_calibrate_import(CLI::App& calibrate) {
  auto* command =
      calibrate.add_subcommand("import", "Take labels over from a spreadsheet (CSV) or JSONL");
  auto arguments = std::make_shared<ImportArguments>();
  command->add_option("FILE", arguments->file, "labels: .csv, or JSONL")->required();
  command->add_option("--items", arguments->items, "what they are of")
      ->required()
      ->type_name("ITEMS");
  command->add_option("--by", arguments->by, "who labelled, where the file does not say")
      ->type_name("NAME");
  command->add_option("--labels", arguments->labels, "file of labels to add them to")
      ->required()
      ->type_name("GOLD");
  command->callback([=] { import_labels(*arguments); });
}

}  // namespace l2a
