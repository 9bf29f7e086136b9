// Grader `labels`: for logs whose questions people labelled with the attribute they ask for. It
// finds the labelled human question nearest to the reply's by TF-IDF weighted word overlap, takes
// its attribute, and looks whether this session still asks for it.
//
//   1  an attribute that the expert asks for at this turn or later
//   0  another one (asked before, or not of this session); or the question resembles no labelled
//      one, and so asks for no labelled attribute
//
// Several questions count as in verdict.h. It shares no model and no threshold with `match`.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "hindsight/question.h"
#include "reward/grader.h"
#include "reward/labelled_questions.h"
#include "reward/word_index.h"

namespace l2a {

// Questions of one group.
class QuestionBank {
 public:
  QuestionBank(std::vector<LabelledQuestion> questions, const QuestionForms& forms);

  struct Match {
    double cosine = 0;  // in (0, 1]
    const LabelledQuestion* question = nullptr;
  };
  // The nearest question of another session than `session_id`; nullptr when none shares a word.
  Match nearest(const std::string& text, const std::string& session_id) const;

 private:
  std::vector<LabelledQuestion> questions_;
  WordIndex index_;
};

// Not thread-safe.
class LabelGrader : public Grader {
 public:
  // Below this cosine a question resembles none of the bank. Costs about one in a hundred of the
  // human questions whose nearest neighbour is right (docs/graders.md).
  static constexpr double kResembles = 0.4;

  // `bank`: sessions whose questions are the reference; `graded`: the labelled sessions that
  // requests come from. Where they overlap, a session's own questions are left out of its bank.
  // `forms` must outlive it. Throws Failure for labels of another form, and for a graded session
  // that is there twice.
  LabelGrader(const std::vector<Session>& bank, const std::vector<Session>& graded,
              const QuestionForms& forms);
  std::string name() const override { return "labels"; }
  // kNotFound for a request from a session that is not labelled or whose group has no bank:
  // unscored.
  std::vector<Result<Grade>> grade(std::span<const GradeRequest> requests) override;

 private:
  struct GradedSession {
    GradedSession(std::string its_group, std::vector<std::vector<std::string>> its_open)
        : group(std::move(its_group)), open(std::move(its_open)) {}
    std::string group;
    // For each turn, the attributes asked for at it or later.
    std::vector<std::vector<std::string>> open;
  };
  Result<Grade> grade_one(const GradeRequest& request) const;
  const QuestionForms& forms_;
  std::unordered_map<std::string, QuestionBank> banks_;  // by group
  std::unordered_map<std::string, GradedSession> sessions_;
};

}  // namespace l2a
