// Expert logs made by rule from a domain, with the truth beside every message.
//
// A session draws a complaint and the user's facts, then plays expert and user: the expert asks
// for what matters and is not known yet, in the complaint's order, and closes when nothing is open
// any more or an urgent fact is known. The truth is written as the key "truth":
//
//   session            {"complaint": "headache", "slots": ["age", ...], "expert": "first"}
//                      slots: everything that matters for this user, in the order to ask;
//                      "noise": "irrelevant" | "early" | "late" where the expert is noisy
//   expert's message   {"asked": "age", "open": ["age", ...], "decision": "continue"}
//                      open and decision (the right one) as of before the message; no "asked" in
//                      a closing; "noisy": true where the expert did otherwise than is right.
//                      What the user will turn out not to know is open: it is right to ask it,
//                      though labels, which are read off answers, hold no item for it
//   user's message     {"given": {"age": "34"}}   value, class name, or "unknown" (not sure)
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/config.h"
#include "base/jsonl.h"
#include "dialogue/session.h"
#include "synth/domain.h"

namespace l2a {

struct GenerateOptions {
  double chatty = 0.2;
  double typos = 0.1;
  double volunteer = 0.35;
  double unsure = 0.03;
  double noisy = 0;
  bool conflicting_experts = false;

  template <class Visitor>
  void visit(Visitor& v) {
    const Range share{0, 1};
    v("chatty", chatty, share, "share of users who send several messages in a row, and small talk");
    v("typos", typos, share, "share of users who mistype words and drop capitals and full stops");
    v("volunteer", volunteer, share,
      "chance of an unasked fact, tried twice in the first message and at a quarter of it in "
      "answers");
    v("unsure", unsure, share, "chance that the user does not know the answer to a question");
    v("noisy", noisy, share,
      "share of experts who ask something irrelevant, stop too early or stop too late");
    v("conflicting_experts", conflicting_experts,
      "half of the sessions by a second expert, who asks in the opposite order");
  }
};

// The session number `index` of a seed, the same on every machine and whatever else is generated.
// `attempt` > 0 gives another session under the same id.
Session generate_session(const Domain& domain, const GenerateOptions& options, uint64_t seed,
                         uint64_t index, uint64_t attempt = 0);

struct GenerateSummary {
  size_t sessions = 0;  // no two of them alike
  size_t redrawn = 0;   // drawn again because an earlier session had the same words
  size_t turns = 0;
  size_t expert_turns = 0;
  size_t stops = 0;        // expert turns where stopping is right
  size_t noisy_turns = 0;  // expert turns that did otherwise than is right
};

// Streams `sessions` sessions into a sessions file (first line: `header`, of format "sessions";
// then a session a line), which appears only when it is whole. A session depends on the seed, its
// number and, where it had to be drawn again, the sessions before it; never on those after it.
// `on_session` is called after each. Throws Failure: kIo, or kInvalidInput when the domain has not
// that many different sessions.
GenerateSummary generate_file(
    const Domain& domain, const GenerateOptions& options, uint64_t seed, uint64_t sessions,
    const FileHeader& header, const std::filesystem::path& path,
    const std::function<void()>& on_session = [] {});

}  // namespace l2a
