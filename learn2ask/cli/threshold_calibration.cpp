#include "cli/threshold_calibration.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <numeric>
#include <unordered_map>

#include <fmt/format.h>

#include "base/file.h"
#include "base/rng.h"
#include "cli/command.h"
#include "cli/sentence_encoder.h"
#include "dialogue/session_file.h"
#include "hindsight/label.h"
#include "reward/label_grader.h"
#include "reward/match_grader.h"
#include "reward/threshold_fit.h"
#include "reward/words_grader.h"

namespace l2a {
namespace {

std::vector<LabelledQuestion> questions_of(const std::vector<Session>& sessions,
                                           const QuestionForms& forms) {
  std::vector<LabelledQuestion> all;
  for (const Session& session : sessions) {
    for (auto& q : labelled_questions(session, forms)) all.push_back(std::move(q));
  }
  return all;
}

std::vector<LabelledPair> cosine_pairs(const std::vector<LabelledQuestion>& questions,
                                       TextEncoder& encoder) {
  std::vector<std::string> texts;
  for (const auto& q : questions) texts.push_back(q.question);
  const std::vector<float> vectors = encoder.encode(texts);
  std::unordered_map<std::string, const float*> row;
  for (size_t i = 0; i < texts.size(); ++i) row[texts[i]] = &vectors[i * encoder.width()];
  return labelled_pairs(questions, [&](const std::string& a, const std::string& b) {
    return std::inner_product(row[a], row[a] + encoder.width(), row[b], 0.0);
  });
}

std::string text_of(const char* where, const VerdictCounts& c) {
  return fmt::format(
      "  {}: F1 {:.3f} (precision {:.3f}, recall {:.3f})\n"
      "    people say same:      1 {:6}   0.5 {:6}   0 {:6}\n"
      "    people say different: 1 {:6}   0.5 {:6}   0 {:6}\n",
      where, c.f1(), c.precision(), c.recall(), c.same_full, c.same_half, c.same_none,
      c.different_full, c.different_half, c.different_none);
}

struct Fitted {
  SimilarityThresholds thresholds;
  MeasuredKappa kappa;
};

// Fits on train, measures on dev, and adds to the report.
Fitted fit(const char* name, const std::vector<LabelledPair>& train,
           const std::vector<LabelledPair>& dev, std::string& report) {
  ThresholdFit fitted = fit_thresholds(train).value_or_throw();
  // What is measured is what is written: down, so that the pair at a threshold still reaches it.
  for (double* threshold : {&fitted.thresholds.same, &fitted.thresholds.near}) {
    *threshold = std::floor(*threshold * 1000 + 1e-9) / 1000;
  }
  const ThresholdFit on_dev = fit_thresholds(dev).value_or_throw();
  const auto kappa = pair_kappa(dev, fitted.thresholds);
  if (!kappa) fail_input(std::string("calibrate: ") + name + ": kappa is undefined on dev");
  const VerdictCounts counts = count_verdicts(dev, fitted.thresholds);
  report += fmt::format(
      "{}\n  train: {} same, {} different pairs: AUC {:.3f}\n"
      "    best F1 {:.3f} at same = {:.3f}, best balanced accuracy {:.3f} at near = {:.3f}\n"
      "  dev: {} same, {} different pairs: AUC {:.3f}, best F1 of any threshold {:.3f}\n"
      "    linear kappa with people {:.3f} [{:.3f}, {:.3f}] (95%, questions drawn anew)\n",
      name, fitted.same_pairs, fitted.different_pairs, fitted.auc, fitted.f1,
      fitted.thresholds.same, fitted.balanced_accuracy, fitted.thresholds.near, on_dev.same_pairs,
      on_dev.different_pairs, on_dev.auc, on_dev.f1, kappa->value, kappa->low, kappa->high);
  report += text_of("dev, pairs at these thresholds", counts);
  return {fitted.thresholds, {kappa->value, kappa->low, kappa->high}};
}

// In every context of the graded sessions, a dozen human questions of other people for the same
// problem: does the verdict agree with whether this expert still asked for that attribute?
VerdictCounts verdicts_in_contexts(Grader& grader, const std::vector<Session>& graded,
                                   const std::vector<LabelledQuestion>& bank,
                                   const QuestionForms& forms) {
  constexpr size_t kQuestionsAContext = 12;
  VerdictCounts counts;
  RuleExtractor extractor(forms);
  Labeller labeller({}, forms, extractor);
  Rng rng(1);
  for (const Session& session : graded) {
    std::vector<LabelledQuestion> candidates;
    for (const auto& q : bank) {
      if (q.group == group_of(session) && q.session_id != session.id) candidates.push_back(q);
    }
    const auto labelled = labeller.label(session).session;
    if (!labelled || candidates.empty()) continue;
    const auto open = open_attributes(session);
    for (const Sample& sample : labelled->samples) {
      if (!is_labelled(sample) || sample.wanted->empty()) continue;
      for (size_t i = 0; i < kQuestionsAContext; ++i) {
        const LabelledQuestion& q = rng.pick(candidates);
        const GradeRequest request{.context_id = sample_id(*labelled, sample),
                                   .context = std::span(labelled->turns).first(sample.turn),
                                   .wanted = *sample.wanted,
                                   .question = q.question};
        const auto grade = grader.grade({&request, 1})[0];
        const auto& wanted = open[sample.turn];
        const bool same = std::find(wanted.begin(), wanted.end(), q.attribute) != wanted.end();
        if (grade) counts.add(same, grade->content);
      }
    }
  }
  return counts;
}

// How often the nearest of the bank's questions has the asked one's attribute, and how near it
// stands: what the grader labels is worth.
std::string bank_report(const std::vector<LabelledQuestion>& bank_questions,
                        const std::vector<LabelledQuestion>& asked, const QuestionForms& forms) {
  std::map<std::string, std::vector<LabelledQuestion>> by_group;
  for (const auto& q : bank_questions) by_group[q.group].push_back(q);
  std::map<std::string, QuestionBank> banks;
  for (auto& [group, questions] : by_group) banks.emplace(group, QuestionBank(questions, forms));
  std::vector<double> right;
  size_t matched = 0;
  for (const auto& q : asked) {
    const auto bank = banks.find(q.group);
    if (bank == banks.end()) continue;
    const auto match = bank->second.nearest(q.question, q.session_id);
    ++matched;
    if (match.question != nullptr && match.question->attribute == q.attribute) {
      right.push_back(match.cosine);
    }
  }
  std::sort(right.begin(), right.end());
  std::string report =
      fmt::format("labels\n  the nearest question of train has the attribute of dev's: {} of {}\n",
                  right.size(), matched);
  if (right.empty()) return report;
  return report + fmt::format("  cosine of these: 1% below {:.3f}, median {:.3f}\n",
                              right[right.size() / 100], right[right.size() / 2]);
}

std::string yaml_of(const GraderThresholds& t) {
  const auto pair = [](const SimilarityThresholds& p) {
    return fmt::format("  same: {:.3f}\n  near: {:.3f}\n", p.same, p.near);
  };
  const auto kappa = [](const char* name, const MeasuredKappa& k) {
    return fmt::format("  {}: {{kappa: {:.3f}, low: {:.3f}, high: {:.3f}}}\n", name, k.kappa, k.low,
                       k.high);
  };
  return "source: " + dump_json(t.source) + "\nlanguages: [English]\n\nmatch:\n" + pair(t.match) +
         "\nwords:\n" + pair(t.words) + "\nagreement:\n" + kappa("match", t.agreement.match) +
         kappa("words", t.agreement.words);
}

}  // namespace

void calibrate_thresholds(const ThresholdFiles& files) {
  if (files.train.empty() || files.dev.empty()) {
    fail_input("calibrate run --what match: needs --train and --dev");
  }
  const QuestionForms forms = QuestionForms::load(data_path("prompts/questions"));
  const auto train = read_sessions(files.train), dev = read_sessions(files.dev);
  const auto train_questions = questions_of(train, forms), dev_questions = questions_of(dev, forms);
  std::string report = fmt::format("{} labelled questions in train, {} in dev\n",
                                   train_questions.size(), dev_questions.size());
  SentenceEncoder encoder;
  const auto overlap = [&](const std::string& a, const std::string& b) {
    return word_overlap(a, b, forms);
  };
  GraderThresholds thresholds;
  thresholds.source =
      "learn2ask calibrate run --what match --train " + files.train + " --dev " + files.dev;
  thresholds.languages = {"English"};
  const Fitted match =
      fit("match (cosine of sentence vectors)", cosine_pairs(train_questions, encoder),
          cosine_pairs(dev_questions, encoder), report);
  thresholds.match = match.thresholds;
  thresholds.agreement.match = match.kappa;
  MatchGrader match_grader(encoder, forms, thresholds, {});
  report +=
      text_of("dev, in contexts", verdicts_in_contexts(match_grader, dev, train_questions, forms));
  const Fitted words =
      fit("words (overlap of content words)", labelled_pairs(train_questions, overlap),
          labelled_pairs(dev_questions, overlap), report);
  thresholds.words = words.thresholds;
  thresholds.agreement.words = words.kappa;
  WordsGrader words_grader(forms, thresholds);
  report +=
      text_of("dev, in contexts", verdicts_in_contexts(words_grader, dev, train_questions, forms));
  report += bank_report(train_questions, dev_questions, forms);

  const std::filesystem::path out = files.out;
  make_private_directory(out);
  write_file_atomic(out / "thresholds.yaml", yaml_of(thresholds));
  write_file_atomic(out / "report.txt", report);
  std::printf("%swritten to %s\n", report.c_str(), (out / "thresholds.yaml").c_str());
}

}  // namespace l2a
