#include "cli/evaluation_results.h"

#include <filesystem>

#include "base/file.h"
#include "cli/command.h"
#include "eval/curves.h"
#include "eval/tables.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kSeed = 1;  // of intervals and of which dialogues are shown

}  // namespace

EvaluationResults::EvaluationResults(std::vector<Evaluation> evaluations,
                                     const std::vector<LabelledSession>& sessions,
                                     const EvaluationSettings& settings,
                                     const EvaluationFiles& files)
    : files_(files), evaluations_(std::move(evaluations)) {
  const BootstrapOptions bootstrap{.resamples = static_cast<size_t>(settings.resamples),
                                   .seed = kSeed};
  for (const Evaluation& evaluation : evaluations_) {
    summaries_.push_back(summarise(evaluation, bootstrap));
  }
  compare_neighbours(bootstrap);
  agreements_ = measure_agreement(evaluations_, bootstrap);
  dialogues_ =
      sample_dialogues(sessions, of_first_grader(), static_cast<size_t>(settings.dialogues), kSeed);
}

// base -> SFT -> GRPO, under every grader.
void EvaluationResults::compare_neighbours(const BootstrapOptions& bootstrap) {
  const size_t graders = files_.graders.size();
  for (size_t p = 1; p < files_.policies.size(); ++p) {
    for (size_t g = 0; g < graders; ++g) {
      const Evaluation& now = evaluations_[p * graders + g];
      const Evaluation& before = evaluations_[(p - 1) * graders + g];
      for (const Metric metric : {Metric::kReward, Metric::kWaGh, Metric::kBalancedAccuracy}) {
        auto difference = compare(now, before, metric, bootstrap);
        if (difference) comparisons_.push_back({now, before, *difference});
      }
    }
  }
}

std::vector<Evaluation> EvaluationResults::of_first_grader() const {
  std::vector<Evaluation> first;
  for (size_t i = 0; i < evaluations_.size(); i += files_.graders.size()) {
    first.push_back(evaluations_[i]);
  }
  return first;
}

std::string EvaluationResults::comparisons_text() const {
  std::string text;
  for (const Neighbours& c : comparisons_) {
    text += "[" + c.now.facts.grader + "] " +
            comparison_text(c.difference, c.now.facts.policy, c.before.facts.policy) + "\n";
  }
  return text.empty() ? text : "\nPaired by session:\n" + text;
}

std::string EvaluationResults::text() const {
  return tables_to_text(summaries_) + comparisons_text() + agreements_to_text(agreements_);
}

void EvaluationResults::write(const EvaluationSources& sources) const {
  const fs::path out = files_.out;
  write_file_atomic(out / "eval.json", to_json(sources.grading_prompts).dump(2) + "\n");
  write_file_atomic(out / "eval.md", tables_to_markdown(summaries_) + comparisons_text() +
                                         agreements_to_markdown(agreements_));
  write_file_atomic(out / "dialogues.txt", dialogues_to_text(dialogues_));
  write_file_atomic(out / "report.html", render_report(report(sources), data_path("web")));
}

Json EvaluationResults::to_json(const Json& grading_prompts) const {
  Json comparisons = Json::array();
  for (const Neighbours& c : comparisons_) {
    Json row = {{"policy", c.now.facts.policy},
                {"against", c.before.facts.policy},
                {"grader", c.now.facts.grader}};
    row.update(l2a::to_json(c.difference));
    comparisons.push_back(row);
  }
  return {{"grading_prompts", grading_prompts},
          {"policies", tables_to_json(summaries_)},
          {"comparisons", comparisons},
          {"agreements", agreements_to_json(agreements_)}};
}

Report EvaluationResults::report(const EvaluationSources& sources) const {
  Report report;
  report.title = "learn2ask: what to ask next, and when to stop";
  for (const NamedPolicy& named : files_.policies) {
    report.journey.push_back(named.name);
    const fs::path metrics = fs::path(named.directory) / "metrics.jsonl";
    if (named.directory.empty() || !fs::exists(metrics)) continue;
    for (Curve& curve : learning_curves(metrics, named.name)) report.curves.push_back(curve);
  }
  report.summaries = summaries_;
  // The page compares under the grader of its headline; eval.json has all.
  for (const Neighbours& c : comparisons_) {
    if (c.now.facts.grader != summaries_.front().facts.grader) continue;
    report.comparisons.push_back({c.now.facts.policy, c.before.facts.policy, c.difference});
  }
  report.agreements = agreements_;
  report.dialogues = dialogues_;
  report.facts = sources.facts;
  report.commands = sources.commands;
  report.notes = {"Intervals are 95% bootstrap intervals over sessions."};
  return report;
}

}  // namespace l2a
