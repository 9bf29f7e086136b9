// Policies that need no model: the baselines every table is held against, and the logged
// expert. None of them looks at the decoding options except the number of replies.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "dialogue/action.h"
#include "dialogue/policy.h"
#include "hindsight/question.h"
#include "hindsight/sample.h"
#include "reward/word_index.h"

namespace l2a {

// Gives the same reply in every context.
class ConstantPolicy : public Policy {
 public:
  static ConstantPolicy always_stop(ReplyFormat format);
  // Throws Failure (kInvalidInput) for a blank question.
  static ConstantPolicy always_ask(const std::string& question, ReplyFormat format);

  std::string name() const override { return name_; }
  std::vector<std::vector<Reply>> reply(std::span<const Context> contexts,
                                        const DecodingOptions& options) override;

 private:
  ConstantPolicy(std::string name, std::string text)
      : name_(std::move(name)), text_(std::move(text)) {}
  std::string name_, text_;
};

// Does what an expert did in the nearest context of the training sessions, by its words
// (reward/word_index.h): what could be had without learning anything. Of the training sessions only
// turns at which the expert asks or stops are looked at, and none of the session that is asked
// about.
class NearestContextPolicy : public Policy {
 public:
  // `forms` must outlive it. Throws Failure (kInvalidInput) when no expert asks or stops.
  NearestContextPolicy(std::span<const LabelledSession> training, const QuestionForms& forms,
                       ReplyFormat format);

  std::string name() const override { return "nearest context"; }
  // To a context that shares no word with any, what was done in the first of another session.
  // Throws Failure (kInvalidInput) where there is no other one.
  std::vector<std::vector<Reply>> reply(std::span<const Context> contexts,
                                        const DecodingOptions& options) override;

 private:
  struct Answered {
    std::vector<std::string> sessions, contexts, replies;  // one a turn
  };
  static Answered answered_in(std::span<const LabelledSession> training, ReplyFormat format);
  NearestContextPolicy(Answered answered, const QuestionForms& forms);

  std::vector<std::string> sessions_, replies_;
  WordIndex index_;
};

// What the expert really said, and <stop /> where the log says that the gathering was over.
//
// Its decisions are right by construction, and its questions reach what was still to be asked
// as far as the grader recognises them: the target was read off the answers that they got. It
// is a ceiling for the grader, not a competitor.
class ExpertPolicy : public Policy {
 public:
  ExpertPolicy(std::span<const LabelledSession> sessions, ReplyFormat format);

  std::string name() const override { return "expert"; }
  // Throws Failure (kInvalidInput) for a context that is no sample of the sessions.
  std::vector<std::vector<Reply>> reply(std::span<const Context> contexts,
                                        const DecodingOptions& options) override;

 private:
  std::map<std::string, std::string> text_of_;  // by context id
};

// The question that experts asked most often, compared by normalised words; the earliest wins a
// tie, and is given as first written. Throws Failure (kInvalidInput) when nobody asked anything.
std::string most_frequent_question(std::span<const LabelledSession> sessions,
                                   const QuestionForms& forms);

}  // namespace l2a
