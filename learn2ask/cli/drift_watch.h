// While a grader rewards training, another one that does not looks on: where the policy learns to
// please the first one only, the two agree less and less.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/headed_journal.h"
#include "calibrate/people_agreement.h"
#include "dialogue/action.h"
#include "hindsight/question.h"
#include "hindsight/sample_index.h"
#include "reward/grader.h"

namespace l2a {

// Not thread-safe.
class DriftWatch {
 public:
  using Note = std::function<void(const std::string&)>;

  // `run`: the run directory, whose rollouts.jsonl is read. `looks_on`: the held-out grader's
  // name, `rewards`: the other's. References must outlive it.
  DriftWatch(std::filesystem::path run, const SampleIndex& samples, const QuestionForms& forms,
             ReplyFormat format, Grader& looks_on, std::string rewards, int64_t every, Note note);

  // After a training step, and once more when training is over. At every `every`-th step the
  // replies since the last time are graded, a line is added to RUN/drift.jsonl ({"step", "alarm",
  // "agreement"}), and the alarm is raised where the 95% interval of kappa lies wholly below that
  // of the first line that has one. What an earlier call of the same run has done is not done
  // again.
  void after(int64_t step);

 private:
  struct Reply {
    int64_t step;
    SamplePlace place;
    std::string question;
    Verdict rewarded;  // by the grader that rewards
  };
  void read_earlier(const std::filesystem::path& path);
  void read_new_replies();
  void look(int64_t step);

  const std::filesystem::path run_;
  const SampleIndex& samples_;
  const QuestionForms& forms_;
  const ReplyFormat format_;
  Grader& looks_on_;
  const std::string rewards_;
  const int64_t every_;
  const Note note_;
  std::unique_ptr<HeadedJournal> journal_;
  int64_t done_ = 0;                  // the step of the last line
  std::streamoff read_ = 0;           // bytes of rollouts.jsonl
  std::vector<Reply> replies_;        // read and not yet looked at
  std::optional<Interval> at_start_;  // of kappa
};

}  // namespace l2a
