// `learn2ask label`: sessions in, training samples out.
#include <cstdio>
#include <filesystem>
#include <optional>

#include "base/failure_log.h"
#include "base/file.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/llm_setup.h"
#include "dialogue/session_file.h"
#include "hindsight/label_file.h"
#include "hindsight/llm_extractor.h"

namespace l2a {
namespace {

struct LabelSettings {
  std::string extractor = "rules";
  LabelOptions label;
  LlmExtractionOptions extraction;
  LlmOptions llm;

  template <class Visitor>
  void visit(Visitor& v) {
    v.choice("extractor", extractor, {"rules", "llm"},
             "who reads off what was still to be asked: rules, or the language model of `llm`");
    v.group("label", label);
    v.group("extraction", extraction);
    v.group("llm", llm);
  }
};

struct LabelArguments {
  std::string sessions, out, overrides;
  bool dry_run = false;
};

Prompt extraction_prompt(const LlmExtractionOptions& options) {
  return Prompt::load(prompt_path(options.prompt, "extraction/" + options.per),
                      LlmExtractor::places(options));
}

std::optional<Overrides> load_overrides(const LabelArguments& arguments) {
  if (arguments.overrides.empty()) return std::nullopt;
  return Overrides::load(arguments.overrides);
}

LabelSummary label_with(const LabelArguments& arguments, const LabelSettings& settings,
                        const QuestionForms& forms, Extractor& extractor) {
  std::optional<Overrides> overrides = load_overrides(arguments);
  const LabelFileJob job{
      .input = arguments.sessions,
      .output = arguments.out,
      .command = "learn2ask label " + arguments.sessions + " --out " + arguments.out,
      .overrides = overrides ? &*overrides : nullptr};
  Progress progress("label", std::nullopt, "sessions");
  LabelSummary summary =
      label_file(job, settings.label, forms, extractor, [&] { progress.advance(); });
  progress.finish();
  return summary;
}

LabelSummary label_by_model(const LabelArguments& arguments, const LabelSettings& settings,
                            const QuestionForms& forms) {
  const Prompt prompt = extraction_prompt(settings.extraction);
  LlmSetup llm(settings.llm, {}, "every message of the sessions of " + arguments.sessions,
               beside(arguments.out, ".ledger.jsonl"));
  LlmExtractor extractor(*llm.clients()[0], prompt, forms, settings.extraction);
  const LabelSummary summary = label_with(arguments, settings, forms, extractor);
  const ExtractionCounts& counts = extractor.counts();
  std::printf("%zu answers read; left out: %zu that nobody said, %zu that nobody had asked for\n",
              counts.answers, counts.not_said, counts.not_asked);
  std::printf("%s\n", llm.totals().c_str());
  return summary;
}

// The calls that labelling would make.
void count_calls(const LabelArguments& arguments, const LabelSettings& settings,
                 const QuestionForms& forms) {
  LlmSetup llm(settings.llm, {}, "", "", Calls::kCount);
  LlmExtractor extractor(*llm.clients()[0], extraction_prompt(settings.extraction), forms,
                         settings.extraction);
  std::optional<Overrides> overrides = load_overrides(arguments);
  Labeller labeller(settings.label, forms, extractor, overrides ? &*overrides : nullptr);
  const auto sessions = read_sessions(arguments.sessions);
  labeller.label(sessions);
  std::printf("%s\n", llm.totals().c_str());
}

void label(const LabelArguments& arguments, const LabelSettings& settings) {
  const QuestionForms forms = QuestionForms::load(data_path("prompts/questions"));
  if (arguments.dry_run) {
    const bool sends = settings.extractor == "llm" && settings.llm.in_process.empty();
    if (sends) return count_calls(arguments, settings, forms);
    std::printf("%s\n", kNoCalls);
    return;
  }
  RuleExtractor rules(forms);
  const LabelSummary summary = settings.extractor == "llm"
                                   ? label_by_model(arguments, settings, forms)
                                   : label_with(arguments, settings, forms, rules);
  std::printf("%swritten to %s\n", to_text(summary).c_str(), arguments.out.c_str());
  if (summary.failed > 0) {
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
  command
      ->add_option("--overrides", arguments->overrides,
                   "a person's corrections, laid over what is read off (docs/formats/sessions.md)")
      ->type_name("FILE");
  add_dry_run(*command, arguments->dry_run);
  auto settings = Settings::add<LabelSettings>(*command);
  command->callback([=] { label(*arguments, settings->read<LabelSettings>()); });
}

}  // namespace l2a
