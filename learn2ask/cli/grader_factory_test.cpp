#include "cli/grader_factory.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/file.h"
#include "base/rng.h"
#include "base/testing.h"
#include "base/utf8.h"
#include "dialogue/session_file.h"
#include "hindsight/testing.h"
#include "reward/labelled_questions.h"

namespace l2a {
namespace {

TEST(GraderFactory, SaysWhatIsMissing) {
  GraderFactory factory(shipped_forms(), {});
  const struct {
    const char* name;
    const char* message;
  } cases[] = {
      {"mach", "grader 'mach': expected match, words, labels, truth or llm: did you mean 'match'?"},
      {"", "grader '': expected match, words, labels, truth or llm"},
      {"labels", "grader labels: needs --bank (reward.bank)"},
      {"truth", "grader truth: needs --sessions (reward.sessions)"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(failure_of([&] { factory.make(c.name); }), c.message);
  }
}

TEST(GraderFactory, MakesTheGradersThatNeedNoFiles) {
  at::set_num_threads(1);
  GraderFactory factory(shipped_forms(), {});
  EXPECT_EQ(factory.make("words")->name().substr(0, 5), "words");
  EXPECT_EQ(factory.make("match")->name().substr(0, 5), "match");
}

TEST(GraderFactory, TakesThresholdsOfOnesOwn) {
  const TempDir dir;
  const std::string file = dir / "thresholds.yaml";
  write_file_atomic(file,
                    "source: a test\nlanguages: [German]\n"
                    "match: {same: 0.5, near: 0.4}\nwords: {same: 0.3, near: 0.2}\n"
                    "agreement:\n  match: {kappa: 0.6, low: 0.5, high: 0.7}\n"
                    "  words: {kappa: 0.5, low: 0.4, high: 0.6}\n");
  GraderFactory factory(shipped_forms(), {.thresholds = file});
  EXPECT_EQ(factory.make("match")->name(), "match (same 0.5, near 0.4, fitted on German)");
  GraderFactory missing(shipped_forms(), {.thresholds = dir / "none"});
  EXPECT_EQ(failure_of([&] { missing.make("words"); }),
            "read: " + (dir / "none").string() + ": No such file or directory");
}

// FloDial's dev sessions under the shipped `match` grader.
class FloDial : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    at::set_num_threads(1);
    if (!std::filesystem::exists(kData)) return;
    sessions_ = read_sessions(kData + "/dev.jsonl");
    for (const Session& s : read_sessions(kData + "/train.jsonl")) {
      for (auto& q : labelled_questions(s, shipped_forms())) bank_[q.group].push_back(std::move(q));
    }
    for (const Session& s : sessions_) labelled_.push_back(label_by_rules(s));
    factory_ = std::make_unique<GraderFactory>(shipped_forms(), GraderInputs{});
    grader_ = factory_->make("match");
  }
  static void TearDownTestSuite() {
    grader_.reset();
    factory_.reset();
  }
  void SetUp() override {
    if (sessions_.empty()) GTEST_SKIP() << kData << " is absent";
  }

  // What `question_of(session, sample)` gets in every context with something left to ask, as the
  // mean; an empty text leaves the context out.
  template <class QuestionOf>
  static double mean_grade(QuestionOf&& question_of) {
    std::vector<GradeRequest> requests;
    for (size_t s = 0; s < sessions_.size(); ++s) {
      for (const Sample& sample : labelled_[s].samples) {
        if (!is_labelled(sample) || sample.wanted->empty()) continue;
        const GradeRequest request{sample_id(labelled_[s], sample),
                                   std::span(labelled_[s].turns).first(sample.turn), *sample.wanted,
                                   question_of(sessions_[s], request_context(s, sample))};
        if (!request.question.empty()) requests.push_back(request);
      }
    }
    EXPECT_GT(requests.size(), 200u);
    double sum = 0;
    for (const auto& grade : grader_->grade(requests)) sum += grade->content;
    return sum / static_cast<double>(requests.size());
  }
  static std::span<const Turn> request_context(size_t session, const Sample& sample) {
    return std::span(labelled_[session].turns).first(sample.turn);
  }
  // A question of another person for the same problem.
  static const LabelledQuestion& any_question(const Session& session) {
    return rng_.pick(bank_.at(group_of(session)));
  }

  static inline const std::string kData = L2A_SOURCE_DIR "/../shared/data/flodial";
  static inline std::vector<Session> sessions_;
  static inline std::vector<LabelledSession> labelled_;
  static inline std::map<std::string, std::vector<LabelledQuestion>> bank_;
  static inline std::unique_ptr<GraderFactory> factory_;
  static inline std::unique_ptr<Grader> grader_;
  static inline Rng rng_{1};
};

std::string without_mark(std::string text) {
  text = trim(text);
  while (!text.empty() && std::string_view(".?! ").find(text.back()) != std::string_view::npos) {
    text.pop_back();
  }
  return text;
}

using Turns = std::span<const Turn>;

TEST_F(FloDial, TheExpertsOwnNextQuestionIsRight) {
  double right = 0, total = 0;
  for (const LabelledSession& session : labelled_) {
    for (const Sample& sample : session.samples) {
      if (!is_labelled(sample) || sample.wanted->empty()) continue;
      const GradeRequest request{sample_id(session, sample),
                                 std::span(session.turns).first(sample.turn), *sample.wanted,
                                 sample.wanted->front().question};
      right += grader_->grade({&request, 1})[0]->content;
      total += 1;
    }
  }
  EXPECT_GT(right / total, 0.97);
}

TEST_F(FloDial, NoTrickBeatsOneGuessedQuestion) {
  const double one = mean_grade([](const Session& s, Turns) { return any_question(s).question; });
  EXPECT_GT(one, 0.15);
  const auto joined = [](size_t count, const std::string& between) {
    return [=](const Session& s, Turns) {
      std::string text;
      for (size_t i = 0; i < count; ++i) {
        text += (i == 0 ? "" : between) + without_mark(any_question(s).question);
      }
      return text + "?";
    };
  };
  EXPECT_LE(mean_grade(joined(2, "? ")), one + 0.02);
  EXPECT_LE(mean_grade(joined(3, "? ")), one);
  EXPECT_LE(mean_grade(joined(6, "? ")), one / 2);
  EXPECT_LE(mean_grade(joined(2, " and ")), one + 0.02);
  EXPECT_LE(mean_grade(joined(4, " and ")), one);
}

TEST_F(FloDial, KeywordsRepeatsAndCopiesGetNothing) {
  const auto keywords = [](size_t count, const std::string& start) {
    return [=](const Session& s, Turns) {
      std::string text = start;
      for (size_t i = 0; i < count; ++i) {
        text += (i == 0 ? "" : ", ") + without_mark(any_question(s).attribute);
      }
      return text + "?";
    };
  };
  EXPECT_LE(mean_grade(keywords(4, "")), 0.03);
  EXPECT_LE(mean_grade(keywords(8, "")), 0.03);
  EXPECT_LE(mean_grade(keywords(8, "Do you have ")), 0.05);

  EXPECT_LE(mean_grade([](const Session&, Turns context) -> std::string {
              const auto known = known_questions(context, context.size(), shipped_forms());
              return known.empty() ? "" : known[rng_.below(known.size())].question;
            }),
            0.01);
  const auto copied = [](const std::string& start) {
    return [=](const Session&, Turns context) {
      const auto said = QuestionForms::sentences(context.front().text);
      return start + without_mark(said[rng_.below(said.size())]) + "?";
    };
  };
  EXPECT_LE(mean_grade(copied("")), 0.01);
  EXPECT_LE(mean_grade(copied("Is it true that ")), 0.03);
  for (const char* general : {"Can you tell me more?", "What is the problem?", "Anything else?",
                              "Do you have any other symptoms?", "Is something broken?"}) {
    EXPECT_LE(mean_grade([&](const Session&, Turns) { return std::string(general); }), 0.02)
        << general;
  }
  EXPECT_EQ(mean_grade([](const Session&, Turns) { return std::string("..."); }), 0);
}

// The verdict on other people's questions against the labels: does this expert still ask for that
// attribute?
TEST_F(FloDial, AgreesWithPeoplesLabels) {
  double same_full = 0, full = 0, same = 0;
  for (size_t s = 0; s < sessions_.size(); ++s) {
    const auto open = open_attributes(sessions_[s]);
    for (const Sample& sample : labelled_[s].samples) {
      if (!is_labelled(sample) || sample.wanted->empty()) continue;
      for (int i = 0; i < 6; ++i) {
        const LabelledQuestion& q = any_question(sessions_[s]);
        const GradeRequest request{sample_id(labelled_[s], sample), request_context(s, sample),
                                   *sample.wanted, q.question};
        const bool is_full = grader_->grade({&request, 1})[0]->content == 1;
        const auto& wanted = open[sample.turn];
        const bool is_same = std::find(wanted.begin(), wanted.end(), q.attribute) != wanted.end();
        full += is_full;
        same += is_same;
        same_full += is_full && is_same;
      }
    }
  }
  EXPECT_GT(same_full / full, 0.92);  // precision; measured 0.96
  EXPECT_GT(same_full / same, 0.78);  // recall; measured 0.83
}

}  // namespace
}  // namespace l2a
