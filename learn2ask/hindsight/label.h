// From a logged session to its training samples: which turns ask (asking_turns, extract.h), where
// the expert stopped, and what was still to be asked at each turn (an Extractor, extract.h).
#pragma once

#include <string>
#include <vector>

#include "base/config.h"
#include "dialogue/session.h"
#include "hindsight/extract.h"
#include "hindsight/overrides.h"
#include "hindsight/sample.h"

namespace l2a {

// Acts of people's labels (`labels.act` of a message) that decide what a turn does. An act in none
// of the lists leaves it to the rules; in a turn of several messages stop goes before ask before
// inform.
struct ActLists {
  std::vector<std::string> ask = {"ask"};
  std::vector<std::string> stop = {"solve", "stop"};
  std::vector<std::string> inform;

  template <class Visitor>
  void visit(Visitor& v) {
    v("ask", ask, "values of labels.act that mark a turn as asking");
    v("stop", stop, "values of labels.act that mark the end of the gathering");
    v("inform", inform, "values of labels.act that mark a turn as asking nothing");
  }
};

struct LabelOptions {
  ActLists acts;
  // An expert's message that contains one of these ends the gathering.
  std::vector<std::string> stop_markers = {"<med_search>"};
  // Off by default: where the expert goes on talking without learning anything, the log does not
  // say that he had stopped asking.
  bool stop_when_nothing_follows = false;
  // Off by default, as published. In a long session nearly every question is still open at nearly
  // every turn, so that one question asked again and again is right most of the time.
  uint64_t horizon = 0;
  // The published code's reading: a turn stops iff no user message is left, whatever it says and
  // whatever the labels say; continue samples with an empty I* are left out.
  bool compat = false;
  double max_failure_rate = 0.05;

  template <class Visitor>
  void visit(Visitor& v) {
    v.group("acts", acts);
    v("stop_markers", stop_markers, "texts in an expert's message that end the gathering");
    v("stop_when_nothing_follows", stop_when_nothing_follows,
      "stop at the first turn from which on nothing more was learnt");
    v("horizon", horizon, Range{0, 1e6},
      "what the expert asks at a turn or within so many of his turns, it among them, is still to "
      "be asked there; 0: all that he asks from there on");
    v("compat", compat, "stop iff no user message is left; drop samples with nothing to ask");
    v("max_failure_rate", max_failure_rate, Range{0.0, 1.0},
      "stop the run past this share of unreadable sessions and failed extractions");
  }
};

// The rule kept with a decision that a person corrected is "override"; with a continue decision
// "act_label" where people's label says that the turn asks, else "gathers_on" ("user_message_left"
// in compat); the rules of a stop: stop_rules.h, and "nothing_follows".

struct LabelOutcome {
  // kInvalidInput when the session has no expert turn after a user message.
  Result<LabelledSession> session;
  // Of the extractor, each naming its sample: "12/3: why". These turns are unlabelled.
  std::vector<Error> extraction_errors = {};
};

// Labels sessions. Not thread-safe: extractors are not.
class Labeller {
 public:
  // `forms`, `extractor` and `overrides` (may be null) outlive the labeller. Throws Failure on an
  // empty stop marker, and for overrides or a horizon with compat, which has one reading only.
  Labeller(LabelOptions options, const QuestionForms& forms, Extractor& extractor,
           Overrides* overrides = nullptr);

  // In the order of `sessions`, which the extractor reads together.
  std::vector<LabelOutcome> label(std::span<const Session> sessions);
  LabelOutcome label(const Session& session) { return std::move(label(std::span(&session, 1))[0]); }

  // Continue samples that compat left out, so far.
  size_t dropped() const { return dropped_; }

 private:
  struct Draft;
  std::vector<std::optional<TurnKind>> act_labels(const Session& session,
                                                  std::span<const Turn> turns) const;
  Result<Draft> draft(const Session& session) const;
  const Override* correction_at(const std::string& session, size_t turn) const;
  std::vector<std::optional<Decision>> decided(const std::string& session, size_t turns) const;
  void leave_out_what_is_far(Draft& draft) const;
  LabelOutcome finish(Draft draft, Targets targets);

  LabelOptions options_;
  const QuestionForms& forms_;
  Extractor& extractor_;
  Overrides* overrides_;
  size_t dropped_ = 0;
};

}  // namespace l2a
