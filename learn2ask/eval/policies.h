// Policies that need no model: the constants every table is held against, and the logged
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
