// `learn2ask label`: sessions in, training samples out.
#include <cstdio>

#include "base/progress.h"
#include "cli/command.h"
#include "hindsight/label_file.h"

namespace l2a {
namespace {

struct LabelSettings {
  LabelOptions label;

  template <class Visitor>
  void visit(Visitor& v) {
    v.group("label", label);
  }
};

struct LabelArguments {
  std::string sessions, out;
};

void label(const LabelArguments& arguments, const LabelOptions& options) {
  const QuestionForms forms = QuestionForms::load(data_path("prompts/questions"));
  RuleExtractor extractor(forms);
  const LabelFileJob job{
      .input = arguments.sessions,
      .output = arguments.out,
      .command = "learn2ask label " + arguments.sessions + " --out " + arguments.out};
  Progress progress("label", std::nullopt, "sessions");
  const LabelSummary summary =
      label_file(job, options, forms, extractor, [&] { progress.advance(); });
  progress.finish();
  std::printf("%swritten to %s\n", to_text(summary).c_str(), arguments.out.c_str());
  if (summary.failed_sessions > 0) {
    std::printf("what failed, and why: %s\n", failures_path(arguments.out).c_str());
  }
}

}  // namespace

void add_label_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "label", "Read off every turn what was still to be asked, and where the expert stopped");
  auto arguments = std::make_shared<LabelArguments>();
  command->add_option("SESSIONS", arguments->sessions, "sessions, as import or generate wrote them")
      ->required();
  command->add_option("--out", arguments->out, "labels file to write")
      ->type_name("FILE")
      ->required();
  auto settings = Settings::add<LabelSettings>(*command);
  command->callback([=] { label(*arguments, settings->read<LabelSettings>().label); });
}

}  // namespace l2a
