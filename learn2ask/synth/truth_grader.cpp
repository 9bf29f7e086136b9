#include "synth/truth_grader.h"

#include <algorithm>

#include "base/utf8.h"

namespace l2a {
namespace {

[[noreturn]] void no_truth(const Session& session, const std::string& why) {
  fail_input("truth: session '" + shown(session.id) + "': " + why +
             ": only sessions made by `learn2ask generate` carry it");
}

TurnTruth read_truth(const Session& session, const Message& message) {
  const auto found = message.extra.find("truth");
  if (found == message.extra.end()) no_truth(session, "an expert's message has no 'truth'");
  const Json& truth = *found;
  if (!truth.is_object() || !truth.contains("open") || !truth["open"].is_array()) {
    no_truth(session, "'truth' of an expert's message has no list 'open'");
  }
  TurnTruth turn;
  for (const auto& slot : truth["open"]) {
    if (!slot.is_string()) no_truth(session, "'open' names a slot that is no string");
    turn.open.push_back(slot.get<std::string>());
  }
  turn.decision = turn.open.empty() ? Decision::kStop : Decision::kContinue;
  if (!truth.contains("decision") || truth["decision"] != decision_name(turn.decision)) {
    no_truth(session, "'decision' disagrees with 'open'");
  }
  return turn;
}

}  // namespace

TruthIndex::TruthIndex(std::span<const Session> sessions) {
  for (const Session& session : sessions) {
    const auto turns = turns_of(session);
    for (size_t t = 0; t < turns.size(); ++t) {
      if (turns[t].role != Role::kAssistant) continue;
      const auto truth = read_truth(session, session.messages[turns[t].first_message]);
      if (!turns_.emplace(session.id + "/" + std::to_string(t), truth).second) {
        fail_input("truth: session '" + shown(session.id) + "': is there twice");
      }
    }
  }
}

Result<TurnTruth> TruthIndex::find(const std::string& context_id) const {
  const auto found = turns_.find(context_id);
  if (found == turns_.end()) {
    return Error{ErrorCode::kNotFound, "truth: context '" + shown(context_id) +
                                           "': is in none of the generated sessions"};
  }
  return found->second;
}

std::vector<Result<Grade>> TruthGrader::grade(std::span<const GradeRequest> requests) {
  std::vector<Result<Grade>> grades;
  grades.reserve(requests.size());
  for (const auto& request : requests) grades.push_back(grade_one(request));
  return grades;
}

Result<Grade> TruthGrader::grade_one(const GradeRequest& request) const {
  using Kind = Recognised::Kind;
  const auto truth = truth_.find(request.context_id);
  if (!truth) return truth.error();

  const Recognised asked = recogniser_.recognise(request.question);
  switch (asked.kind) {
    case Kind::kNothing:
      return Grade{0, "asks nothing"};
    case Kind::kUnknown:
      return Grade{0, "asks for nothing that the domain knows", true};
    case Kind::kGeneral:
      return truth->open.empty() ? Grade{0, "general, but nothing is open"}
                                 : Grade{0.5, "too general"};
    case Kind::kSlot:
      break;
  }
  const std::string& slot = domain_.slots[asked.slot].name;
  const bool open = std::find(truth->open.begin(), truth->open.end(), slot) != truth->open.end();
  return open ? Grade{1, "asks for '" + slot + "', which is open"}
              : Grade{0, "asks for '" + slot + "', which is known or does not matter"};
}

}  // namespace l2a
