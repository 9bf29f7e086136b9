// `learn2ask eval`: policies and baselines on labelled sessions.
#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/evaluation_step.h"
#include "eval/evaluate.h"

namespace l2a {
namespace {

// "NAME=DIR", or "base" for the model without an adapter.
NamedPolicy read_policy(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == text.npos && text == "base") return {text, ""};
  if (equals == text.npos || equals == 0 || equals + 1 == text.size()) {
    fail_input("--policy: '" + text + "': expected NAME=DIR, or base for the untrained model");
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

void evaluate(const EvaluationSettings& settings, EvaluationFiles files,
              const std::vector<std::string>& policies, bool dry_run) {
  for (const auto& text : policies) files.policies.push_back(read_policy(text));
  if (dry_run) return print_estimate(estimate_evaluation(settings, files));
  std::printf("%s", evaluate_step(settings, files).c_str());
  std::printf("\nreport: %s/report.html\n", files.out.c_str());
}

}  // namespace

void add_eval_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "eval", "Measure policies beside the baselines: tables, comparisons, a report page");
  auto files = std::make_shared<EvaluationFiles>();
  auto policies = std::make_shared<std::vector<std::string>>(std::vector<std::string>{"base"});
  files->graders = {"match", "words"};
  command->add_option("LABELS", files->labels, "labelled sessions to evaluate on")->required();
  command
      ->add_option(
          "--policy", *policies,
          "base, or NAME=DIR of an adapter, a model or a training run (its adapter is laid on the "
          "model that it was trained on); from before to after")
      ->allow_extra_args(false)
      ->capture_default_str();
  command->add_option("--grader", files->graders, "match, words, truth, labels, llm")
      ->allow_extra_args(false)
      ->capture_default_str();
  command->add_option("--split", files->split, "the split's name, for the tables")->required();
  command
      ->add_option("--train-labels", files->train_labels,
                   "training labels, of which two baselines are made: their most frequent "
                   "question, and what the expert did in the nearest context")
      ->type_name("LABELS");
  command
      ->add_option("--sessions", files->grader_inputs.sessions,
                   "for the graders truth and labels: the sessions that were labelled")
      ->allow_extra_args(false)
      ->type_name("SESSIONS");
  command
      ->add_option("--domain", files->grader_inputs.domain,
                   "for the truth grader: the domain that they were generated from")
      ->type_name("DOMAIN");
  command
      ->add_option("--thresholds", files->grader_inputs.thresholds,
                   "for match and words: flodial, pharmacy, or a file fitted on your own labels")
      ->capture_default_str()
      ->type_name("NAME");
  command
      ->add_option("--bank", files->grader_inputs.bank,
                   "for the labels grader: training sessions whose questions people labelled")
      ->type_name("SESSIONS");
  command->add_option("--history", files->history, "commands to list in the report (JSONL)")
      ->type_name("FILE");
  command->add_option("--out", files->out, "folder for tables, rows and report")
      ->required()
      ->type_name("DIR");
  auto published = std::make_shared<bool>(false);
  command->add_flag("--published-decoding", *published,
                    "decode as the paper does: 3 replies at temperature 1, top-p 0.95, repetition "
                    "penalty 1.2; else greedily");
  auto dry_run = std::make_shared<bool>(false);
  add_dry_run(*command, *dry_run);
  auto settings = Settings::add<EvaluationSettings>(*command);
  command->callback([=] {
    EvaluationSettings defaults;
    if (*published) defaults.decoding = published_decoding();
    evaluate(settings->read(defaults), *files, *policies, *dry_run);
  });
}

}  // namespace l2a
