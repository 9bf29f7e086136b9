// Fits the graders' thresholds on labelled questions, reports how good they are on others, and
// writes them as a file for prompts/thresholds/.
//
// usage: fit_thresholds TRAIN.jsonl DEV.jsonl MINILM_FOLDER QUESTION_FORMS_FOLDER OUT.yaml
#include <algorithm>
#include <cstdio>
#include <iomanip>
#include <map>
#include <numeric>
#include <sstream>
#include <unordered_map>

#include "base/file.h"
#include "base/rng.h"
#include "dialogue/session_file.h"
#include "embed/minilm.h"
#include "hindsight/label.h"
#include "reward/label_grader.h"
#include "reward/match_grader.h"
#include "reward/threshold_fit.h"
#include "reward/words_grader.h"

namespace l2a {
namespace {

class Encoder : public TextEncoder {
 public:
  explicit Encoder(const std::string& folder) : model_(folder) {}
  size_t width() const override { return model_.width(); }
  std::vector<float> encode(std::span<const std::string> texts) override {
    return model_.encode(texts);
  }

 private:
  MiniLmEncoder model_;
};

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

void print_counts(const char* where, const VerdictCounts& c) {
  std::printf("  %s: F1 %.3f (precision %.3f, recall %.3f)\n", where, c.f1(), c.precision(),
              c.recall());
  std::printf("    people say same:      1 %6zu   0.5 %6zu   0 %6zu\n", c.same_full, c.same_half,
              c.same_none);
  std::printf("    people say different: 1 %6zu   0.5 %6zu   0 %6zu\n", c.different_full,
              c.different_half, c.different_none);
}

SimilarityThresholds fit(const char* name, const std::vector<LabelledPair>& train,
                         const std::vector<LabelledPair>& dev) {
  const ThresholdFit fitted = fit_thresholds(train).value_or_throw();
  const ThresholdFit on_dev = fit_thresholds(dev).value_or_throw();
  std::printf("%s\n  train: %zu same, %zu different pairs: AUC %.3f\n", name, fitted.same_pairs,
              fitted.different_pairs, fitted.auc);
  std::printf("    best F1 %.3f at same = %.3f, best balanced accuracy %.3f at near = %.3f\n",
              fitted.f1, fitted.thresholds.same, fitted.balanced_accuracy, fitted.thresholds.near);
  std::printf("  dev: %zu same, %zu different pairs: AUC %.3f\n", on_dev.same_pairs,
              on_dev.different_pairs, on_dev.auc);
  print_counts("dev, pairs at these thresholds", count_verdicts(dev, fitted.thresholds));
  return fitted.thresholds;
}

// In every context of the graded sessions, a dozen human questions of other people for the same
// problem: does the verdict agree with whether this expert still asked for that attribute?
VerdictCounts agreement(Grader& grader, const std::vector<Session>& graded,
                        const std::vector<LabelledQuestion>& bank, const QuestionForms& forms) {
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
// stands.
void report_bank(const std::vector<LabelledQuestion>& bank_questions,
                 const std::vector<LabelledQuestion>& asked, const QuestionForms& forms) {
  std::map<std::string, std::vector<LabelledQuestion>> by_group;
  for (const auto& q : bank_questions) by_group[q.group].push_back(q);
  std::map<std::string, QuestionBank> banks;
  for (auto& [group, questions] : by_group) banks.emplace(group, QuestionBank(questions, forms));
  std::vector<double> right, wrong;
  for (const auto& q : asked) {
    const auto bank = banks.find(q.group);
    if (bank == banks.end()) continue;
    const auto match = bank->second.nearest(q.question, q.session_id);
    const bool same = match.question != nullptr && match.question->attribute == q.attribute;
    (same ? right : wrong).push_back(match.cosine);
  }
  std::sort(right.begin(), right.end());
  std::sort(wrong.begin(), wrong.end());
  if (right.empty()) fail_input("labels: too few labelled questions to report on");
  std::printf("labels\n  the nearest question of train has the attribute of dev's: %zu of %zu\n",
              right.size(), right.size() + wrong.size());
  std::printf("  cosine of these: 1%% below %.3f, median %.3f\n", right[right.size() / 100],
              right[right.size() / 2]);
  if (!wrong.empty()) std::printf("  of the others: median %.3f\n", wrong[wrong.size() / 2]);
}

void write_thresholds(const GraderThresholds& t, const std::string& train, const std::string& out) {
  std::ostringstream file;
  file << "source: tools/fit_thresholds on " << train << "\nlanguages: [English]\n"
       << std::fixed << std::setprecision(3)  //
       << "match:\n  same: " << t.match.same << "\n  near: " << t.match.near
       << "\nwords:\n  same: " << t.words.same << "\n  near: " << t.words.near << "\n";
  write_file_atomic(out, file.str());
}

void run(const std::string& train_path, const std::string& dev_path, const std::string& model,
         const std::string& forms_folder, const std::string& out) {
  const QuestionForms forms = QuestionForms::load(forms_folder);
  const auto train = read_sessions(train_path), dev = read_sessions(dev_path);
  const auto train_questions = questions_of(train, forms), dev_questions = questions_of(dev, forms);
  std::printf("%zu questions in train, %zu in dev\n", train_questions.size(), dev_questions.size());
  Encoder encoder(model);
  const auto overlap = [&](const std::string& a, const std::string& b) {
    return word_overlap(a, b, forms);
  };
  GraderThresholds thresholds;
  thresholds.languages = {"English"};
  thresholds.match =
      fit("match (cosine of sentence vectors)", cosine_pairs(train_questions, encoder),
          cosine_pairs(dev_questions, encoder));
  MatchGrader match(encoder, forms, thresholds, {});
  print_counts("dev, in contexts", agreement(match, dev, train_questions, forms));

  thresholds.words =
      fit("words (overlap of content words)", labelled_pairs(train_questions, overlap),
          labelled_pairs(dev_questions, overlap));
  WordsGrader words(forms, thresholds);
  print_counts("dev, in contexts", agreement(words, dev, train_questions, forms));

  report_bank(train_questions, dev_questions, forms);
  write_thresholds(thresholds, train_path, out);
}

}  // namespace
}  // namespace l2a

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: fit_thresholds TRAIN.jsonl DEV.jsonl MINILM QUESTION_FORMS OUT\n");
    return 2;
  }
  try {
    l2a::run(argv[1], argv[2], argv[3], argv[4], argv[5]);
  } catch (const l2a::Failure& failure) {
    std::fprintf(stderr, "error: %s\n", failure.what());
    return 1;
  }
  return 0;
}
