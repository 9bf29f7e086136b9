// `learn2ask calibrate report`: how far graders and labels agree with people, and people with each
// other.
#include <cstdio>
#include <filesystem>

#include <fmt/format.h>

#include "base/file.h"
#include "calibrate/label_tasks.h"
#include "cli/ask_graders.h"
#include "cli/calibrate_command.h"
#include "cli/command.h"
#include "cli/gold_files.h"

namespace l2a {
namespace {

struct ReportSettings {
  int64_t resamples = 2000;
  double max_failure_rate = 0.05;
  LlmGradingOptions grading;
  LlmOptions llm;

  template <class Visitor>
  void visit(Visitor& v) {
    v("resamples", resamples, Range{100, 1e6}, "bootstrap resamples of the intervals");
    v("max_failure_rate", max_failure_rate, Range{0, 1},
      "end past this share of questions to which a grader gave no verdict: how it agrees on the "
      "others says little");
    v.group("grading", grading);
    v.group("llm", llm);
  }
};

struct ReportArguments {
  std::string items, out;
  std::vector<std::string> labels;
  GraderList graders{.names = {}, .prompts = {}, .also_without_prefilter = true};
  GraderInputs inputs;
  bool dry_run = false;
};

// Verdicts on the items that people graded; of others nothing is asked.
AskedGraders verdicts_on(const std::vector<CalibrationItem>& items, const GoldLabels& labels,
                         GraderFactory& factory, const GraderList& graders) {
  std::vector<size_t> graded;
  std::vector<GradeRequest> requests;
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].kind != ItemKind::kGrade || !labels.grade_of(items[i].id)) continue;
    graded.push_back(i);
    requests.push_back(grade_request(items[i]));
  }
  if (requests.empty()) return {};
  AskedGraders asked = ask_graders(factory, graders, requests);
  for (auto& [grader, verdicts] : asked.verdicts) {
    std::vector<std::vector<Verdict>> of_items(items.size());
    for (size_t k = 0; k < graded.size(); ++k) of_items[graded[k]] = std::move(verdicts[k]);
    verdicts = std::move(of_items);
  }
  return asked;
}

void refuse_failing(const AskedGraders& asked, double max_failure_rate) {
  for (const auto& [grader, of_grader] : asked.failures) {
    const double rate =
        static_cast<double>(of_grader.failed) / static_cast<double>(of_grader.asked);
    if (rate <= max_failure_rate) continue;
    fail(ErrorCode::kUnavailable,
         fmt::format("calibrate report: {}: {} (max_failure_rate={:g}): mend that and run again "
                     "(what was answered is kept), leave it out of --grader, or allow more",
                     grader, of_grader.text(), max_failure_rate));
  }
}

// Item by item, for whoever wants to see where a grader errs and how its answers vary.
void write_verdicts(const std::filesystem::path& path, const std::string& items_sha256,
                    const std::vector<CalibrationItem>& items, const GoldLabels& labels,
                    const AskedGraders& asked) {
  std::string lines =
      dump_json(to_json(FileHeader{.format = "calibration_verdicts",
                                   .command = "learn2ask calibrate report",
                                   .input_sha256 = items_sha256,
                                   .extra = {{"grading_prompts", asked.prompts}}})) +
      "\n";
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].kind != ItemKind::kGrade || !labels.grade_of(items[i].id)) continue;
    lines += dump_json(verdicts_on_item(items[i], labels, asked.verdicts, i)) + "\n";
  }
  write_file_atomic(path, lines);
}

void report(const ReportArguments& arguments, const ReportSettings& settings) {
  if (arguments.dry_run && !settings.llm.in_process.empty()) {
    std::printf("%s\n", kNoCalls);
    return;
  }
  const auto items = read_calibration_items(arguments.items);
  const GoldLabels labels = read_gold_files(arguments.labels, ItemIndex(items));
  const QuestionForms forms = QuestionForms::load(data_path("prompts/questions"));
  const std::filesystem::path out = arguments.out;
  GraderInputs inputs = arguments.inputs;
  inputs.grading = settings.grading;
  inputs.llm = settings.llm;
  inputs.ledger = out / "ledger.jsonl";
  if (arguments.dry_run) inputs.calls = Calls::kCount;
  GraderFactory factory(forms, inputs);
  const AskedGraders asked = verdicts_on(items, labels, factory, arguments.graders);
  if (arguments.dry_run) {
    std::printf("%s\n", factory.counted().c_str());
    return;
  }
  refuse_failing(asked, settings.max_failure_rate);
  const AgreementReport agreement = measure_people_agreement(
      items, labels, asked.verdicts, {.resamples = static_cast<size_t>(settings.resamples)});
  if (agreement.labelled == 0) fail_input("calibrate report: nobody labelled any of the items");

  make_private_directory(out);
  Json json = to_json(agreement);
  json["items_sha256"] = sha256_file(arguments.items);
  json["gold_sha256"] = gold_sha256(arguments.labels);
  json["grading_prompts"] = asked.prompts;
  write_file_atomic(out / "agreement.json", json.dump(2) + "\n");
  write_verdicts(out / "verdicts.jsonl", json["items_sha256"], items, labels, asked);
  std::string text = to_text(agreement);
  if (const std::string failed = asked.failures_text(); !failed.empty()) text += "\n" + failed;
  if (!factory.costs().empty()) text += "\n" + factory.costs() + "\n";
  write_file_atomic(out / "agreement.txt", text);
  std::printf("%s\nwritten to %s\n", text.c_str(), (out / "agreement.json").c_str());
}

}  // namespace

void add_calibrate_report(CLI::App& calibrate) {
  auto* command = calibrate.add_subcommand(
      "report", "How far graders and labels agree with people, and people with each other");
  auto arguments = std::make_shared<ReportArguments>();
  command->add_option("ITEMS", arguments->items, "items, as calibrate sample wrote them")
      ->required();
  command->add_option("--labels", arguments->labels, "what people said; several files count as one")
      ->required()
      ->type_name("GOLD");
  command->add_option("--grader", arguments->graders.names, "whose verdicts are compared")
      ->check(CLI::IsMember(kGradersOfQuestions));
  command
      ->add_option("--grading-prompt", arguments->graders.prompts,
                   "further prompts of the grader llm")
      ->type_name("PROMPT");
  command
      ->add_option("--repeats", arguments->graders.repeats,
                   "how often llm is asked, for the spread of its answers")
      ->check(CLI::Range(1, 99))
      ->capture_default_str();
  command->add_option("--thresholds", arguments->inputs.thresholds, "of match and words")
      ->capture_default_str();
  command
      ->add_option("--out", arguments->out,
                   "folder for agreement.json, agreement.txt and verdicts.jsonl")
      ->required()
      ->type_name("DIR");
  add_dry_run(*command, arguments->dry_run);
  auto settings = Settings::add<ReportSettings>(*command);
  command->callback([=] {
    if (!arguments->graders.asks_llm()) {
      refuse_options(*command, "calibrate report", {"--repeats"}, kRepeatsAreOfLlm);
    }
    report(*arguments, settings->read<ReportSettings>());
  });
}

}  // namespace l2a
