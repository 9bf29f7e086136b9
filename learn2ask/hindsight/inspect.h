// A data set as people would want to see it: what labelling found in it, what looks suspicious,
// and one session in full.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hindsight/label_file.h"
#include "hindsight/question.h"
#include "hindsight/sample.h"

namespace l2a {

struct InspectedFile {
  bool labelled = false;   // the file has labels; else they were made on the fly
  size_t passed_over = 0;  // sessions that cannot be labelled
};

// Calls `visit` for each session of a labels file, or of a sessions file labelled on the fly by the
// rules with `options`. Throws Failure naming the first line that cannot be read.
InspectedFile for_each_inspected(const std::filesystem::path& path, const LabelOptions& options,
                                 const QuestionForms& forms,
                                 const std::function<void(const LabelledSession&)>& visit);

// Statistics of labelled sessions, gathered one session at a time. Memory: a few numbers a session,
// and each question once.
// Not thread-safe.
class Inspector {
 public:
  explicit Inspector(const QuestionForms& forms) : forms_(forms) {}

  void add(const LabelledSession& session);
  // Aligned lines for a terminal: turns a session, what labelling found, facts still to ask at a
  // turn as a histogram, the question that is still to be asked at most turns, samples with nothing
  // to ask, and the suspicious ones: a stop with questions of the expert after it, and questions
  // that were answered before.
  std::string report() const;

  // The first session of median length; nullopt when there is none.
  std::optional<std::string> median_session() const;
  // A question with the share of those turns that go on and have something left to ask at which it
  // is among what is left, in the same words but for case and punctuation: a policy that asks
  // nothing else has at least this WA-GH. nullopt when nothing is left to ask anywhere.
  struct OpenMostOften {
    std::string question;  // as it stands where it was seen first
    double share = 0;      // (0, 1]
  };
  std::optional<OpenMostOften> open_most_often() const;
  size_t stops_with_questions_after() const { return stops_with_questions_after_.count; }
  size_t repeated_questions() const { return repeated_questions_.count; }

 private:
  // Samples of one kind: how many, and the first few by name.
  struct Examples {
    size_t count = 0;
    std::vector<std::string> first;
    void add(const std::string& id);
    std::string line(std::string_view what) const;
  };

  const QuestionForms& forms_;
  LabelSummary summary_;
  std::vector<size_t> turn_counts_;
  std::vector<std::string> ids_;
  std::map<size_t, size_t> targets_;  // continue samples by the number of facts still to ask
  struct Asked {
    std::string question;
    size_t open_at = 0;  // turns
  };
  std::map<std::string, Asked> questions_;  // by question_key()
  Examples empty_, stops_with_questions_after_, repeated_questions_;
};

// The session turn by turn: role and text, and under each sample what it does, the decision, the
// rules, and I*_t. Texts are made fit for a terminal and cut at `max_bytes` each.
std::string session_to_text(const LabelledSession& session, size_t max_bytes = 200);

}  // namespace l2a
