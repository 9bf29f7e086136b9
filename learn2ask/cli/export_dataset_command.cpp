// `learn2ask export-dataset`: the samples as the datasets of other trainers, whose rewards
// `learn2ask serve-reward` gives.
#include <cstdio>

#include "base/file.h"
#include "base/utf8.h"
#include "cli/command.h"
#include "cli/parquet_file.h"
#include "cli/policy_prompt.h"
#include "hindsight/sample.h"
#include "reward/fusion.h"

namespace l2a {
namespace {

struct ExportDatasetSettings {
  std::string reply_format = "plain";
  std::string prompt;

  template <class Visitor>
  void visit(Visitor& v) {
    v.choice("reply_format", reply_format, {"plain", "tuple"}, "how a reply says stop or continue");
    v("prompt", prompt,
      "file of the system prompt; empty: the shipped one; none: no system prompt");
  }
};

struct ExportDatasetArguments {
  std::string labels, to, out, split = "train";
};

// A labelled turn to reply in.
struct Row {
  std::string sample;                                       // "<session>/<turn>"
  std::vector<std::pair<std::string, std::string>> prompt;  // role, text
};

std::vector<Row> rows_of(const std::vector<LabelledSession>& sessions, const std::string& system) {
  std::vector<Row> rows;
  for (const LabelledSession& session : sessions) {
    for (const Sample& sample : session.samples) {
      // Without a target a reply can never be scored.
      if (!is_labelled(sample) || has_empty_target(sample)) continue;
      Row row{.sample = sample_id(session, sample), .prompt = {}};
      if (!system.empty()) row.prompt.emplace_back("system", system);
      for (const Turn& turn : std::span(session.turns).first(sample.turn)) {
        row.prompt.emplace_back(role_name(turn.role), turn.text);
      }
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

Json messages_of(const Row& row) {
  Json messages = Json::array();
  for (const auto& [role, text] : row.prompt) {
    messages.push_back({{"role", role}, {"content", text}});
  }
  return messages;
}

Json json_row(const Row& row, const std::string& to) {
  return {{"prompt", messages_of(row)}, {to == "trl" ? "sample" : "label", row.sample}};
}

void write_json_rows(const std::vector<Row>& rows, const ExportDatasetArguments& arguments) {
  AtomicFile out(arguments.out);
  for (const Row& row : rows) out.write_line(dump_json(json_row(row, arguments.to)));
  out.commit();
}

void write_verl_rows(const std::vector<Row>& rows, const ExportDatasetArguments& arguments) {
  VerlDataset dataset;
  for (const Row& row : rows) dataset.add(row.prompt, row.sample, arguments.split);
  write_file_atomic(arguments.out, dataset.parquet());
}

void export_dataset(const ExportDatasetArguments& arguments,
                    const ExportDatasetSettings& settings) {
  refuse_overwriting("export-dataset", arguments.out);
  const auto sessions = read_labels(arguments.labels);
  const std::string system =
      settings.prompt == "none"
          ? ""
          : read_policy_prompt(settings.prompt, settings.reply_format, Fusion::kProduct).text;
  const auto rows = rows_of(sessions, system);
  if (rows.empty()) fail_input("export-dataset: " + arguments.labels + ": no labelled turn in it");
  arguments.to == "verl" ? write_verl_rows(rows, arguments) : write_json_rows(rows, arguments);
  std::printf("%zu prompts written to %s\n", rows.size(), arguments.out.c_str());
}

}  // namespace

void add_export_dataset_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "export-dataset", "Write the labelled turns as a dataset of TRL, OpenRLHF or veRL");
  auto arguments = std::make_shared<ExportDatasetArguments>();
  command->add_option("LABELS", arguments->labels, "labelled sessions")->required();
  command
      ->add_option("--to", arguments->to,
                   "trl, openrlhf: JSONL; verl: Parquet (what rewards them: examples/)")
      ->required()
      ->check(CLI::IsMember({"trl", "openrlhf", "verl"}));
  command->add_option("--split", arguments->split, "verl: the name in extra_info.split")
      ->capture_default_str();
  command->add_option("--out", arguments->out, "file to write")->required()->type_name("FILE");
  auto settings = Settings::add<ExportDatasetSettings>(*command);
  command->callback([=] {
    if (arguments->to != "verl") {
      refuse_options(*command, "export-dataset", {"--split"}, "not with --to " + arguments->to);
    }
    export_dataset(*arguments, settings->read<ExportDatasetSettings>());
  });
}

}  // namespace l2a
