// Training samples read off logged sessions: the context, what was still to be asked (I*_t)
// and whether to stop (s*_t). DESIGN.md section 1 defines every word.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "dialogue/action.h"
#include "dialogue/session.h"

namespace l2a {

// One fact that the user still gave after C_t because the expert asked.
struct Item {
  std::string fact;          // the answer's text
  std::string question;      // the expert's question that it answers
  size_t question_turn = 0;  // index into the session's turns
  size_t answer_turn = 0;
  size_t source_message = 0;       // index into Session::messages
  size_t source_begin = 0;         // byte of that message's text
  size_t source_end = 0;           // byte past the end, in the text of source_last_message
  size_t source_last_message = 0;  // another one where the answer runs over several messages

  friend bool operator==(const Item&, const Item&) = default;
};

// What the expert's turn does.
enum class TurnKind { kAsk, kInform, kStop };

// A fact with the rule that decided it.
template <class T>
struct Ruled {
  T value;
  std::string rule;  // e.g. "act_label", "question_mark", "no_user_message_after"
};

struct Sample {
  size_t turn = 0;  // index of the expert turn in LabelledSession::turns; C_t = turns [0, turn)
  Ruled<TurnKind> kind;
  // I*_t. nullopt: extraction failed (unlabelled), which is not an empty target.
  std::optional<std::vector<Item>> wanted;
  // s*_t. nullopt: the session is censored at this turn.
  std::optional<Ruled<Decision>> decision;
};

// A session with its samples, one line of a labels file. The first stop ends the samples.
struct LabelledSession {
  std::string id;
  std::vector<Turn> turns;
  std::vector<Sample> samples;  // in turn order
  bool censored = false;
  Json extra = Json::object();  // the session's other keys, tail and system text among them
  // As logged, each with its labels and truth; what `turns` is made of.
  std::vector<Message> messages = {};
  // Questions that were asked and answered (also with "I don't know") in C_t are found by
  // known_questions(), not stored.
};

std::string sample_id(const LabelledSession& session, const Sample& sample);  // "<session>/<turn>"

// A continue sample whose I*_t is truly empty: kept, counted, by default left out of RL.
bool has_empty_target(const Sample& sample);
// Both targets are there: may be trained on and counted in metrics.
bool is_labelled(const Sample& sample);

const char* turn_kind_name(TurnKind kind);  // "ask", "inform", "stop"

// One line of a labels file: the session's own keys, then
//   "censored": false,
//   "items": [{"fact", "question", "question_turn", "answer_turn",
//              "source": {"message", "begin", "last_message", "end"}}, ...],
//   "samples": [{"turn", "kind", "kind_rule", "decision", "decision_rule", "wanted"}, ...]
// where "wanted" is a list of indices into "items", null when unlabelled, and the decision and its
// rule are null when censored. Reading checks every index.
Json to_json(const LabelledSession& session);
Result<LabelledSession> labelled_session_from_json(const Json& line);

// All sessions of a labels file. Throws Failure naming the line.
std::vector<LabelledSession> read_labels(const std::string& path);

}  // namespace l2a
