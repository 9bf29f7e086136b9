#include "reward/score.h"

#include "base/utf8.h"

namespace l2a {
namespace {

Result<Action> read_action(const Reply& reply, const ScoringOptions& options) {
  if (!options.compat) return parse_reply(reply, options.format);
  if (const auto bad = find_bad_utf8(reply.text)) {
    return Error{ErrorCode::kInvalidInput,
                 "reply: malformed: byte " + std::to_string(*bad + 1) + ": invalid UTF-8"};
  }
  return parse_reply_compat(reply);
}

void settle(ScoredReply& scored, const RewardParts& parts, Fusion fusion, std::string reason) {
  scored.parts = parts;
  scored.reward = fuse(fusion, parts);
  scored.reason = std::move(reason);
}

bool is_unlabelled(const Sample& sample) {
  return sample.decision->value == Decision::kContinue && !sample.wanted;
}

// All of the score that needs no grader. Returns true when the reply is to be graded.
bool score_by_rule(const ScoreRequest& request, const QuestionForms& forms,
                   const ScoringOptions& options, ScoredReply& scored) {
  const Sample& sample = *request.sample;
  check(sample.decision.has_value(), "score_replies: the sample has no decision target");
  const auto action = read_action(request.reply, options);
  if (action) {
    scored.action = *action;
    scored.decided_right = action->decision == sample.decision->value;
    if (action->decision == Decision::kContinue) {
      scored.questions = forms.questions(action->question).size();
    }
  }

  if (is_unlabelled(sample)) {
    scored.reason = "unlabelled: extraction failed for this sample";
    return false;
  }
  if (!action) {
    settle(scored, {}, options.fusion, action.error().message);
    return false;
  }
  if (!scored.decided_right) {
    settle(scored, {}, options.fusion,
           std::string("wrong decision: the expert's was to ") +
               decision_name(sample.decision->value));
    return false;
  }
  if (action->decision == Decision::kStop) {
    const bool exact = !options.compat || request.reply.text == kStopText;
    settle(scored, {.macro = 1, .micro = 1, .format = exact ? 1.0 : 0.0}, options.fusion,
           "stops where the expert stopped");
    return false;
  }
  if (scored.questions == 0) {
    settle(scored, {.macro = 1}, options.fusion, "asks nothing");
    return false;
  }
  return true;
}

}  // namespace

ScoringOptions checked(const ScoringOptions& options) {
  if (options.compat && options.format == ReplyFormat::kTuple) {
    fail_input(
        "compat: not with replies as a tuple, in which it finds no <stop /> (leave one of the two "
        "out)");
  }
  return options;
}

double format_score(size_t questions) {
  if (questions == 1) return 1;
  return questions == 2 ? 0.5 : 0;
}

std::vector<ScoredReply> score_replies(std::span<const ScoreRequest> requests, Grader& grader,
                                       const QuestionForms& forms, const ScoringOptions& options) {
  std::vector<ScoredReply> scored(requests.size());
  std::vector<size_t> graded;  // indices into requests
  std::vector<GradeRequest> to_grade;
  for (size_t i = 0; i < requests.size(); ++i) {
    scored[i].by_rule = !score_by_rule(requests[i], forms, options, scored[i]);
    if (scored[i].by_rule) continue;
    const auto& [session, sample, reply] = requests[i];
    graded.push_back(i);
    to_grade.push_back({.context_id = sample_id(*session, *sample),
                        .context = std::span(session->turns).first(sample->turn),
                        .wanted = *sample->wanted,
                        .question = scored[i].action->question});
  }
  if (to_grade.empty()) return scored;

  const auto grades = grader.grade(to_grade);
  check(grades.size() == to_grade.size(), "score_replies: the grader lost a request");
  for (size_t k = 0; k < grades.size(); ++k) {
    ScoredReply& reply = scored[graded[k]];
    if (!grades[k]) {
      reply.reason = "unscored: " + grades[k].error().message;
      continue;
    }
    const double content = grades[k]->content;
    check(content >= 0 && content <= 1, "score_replies: a grade outside [0, 1]");
    const double format = grades[k]->format.value_or(format_score(reply.questions));
    check(format >= 0 && format <= 1, "score_replies: a format outside [0, 1]");
    settle(reply, {.macro = 1, .micro = content, .format = format}, options.fusion,
           grades[k]->reason);
    reply.unrecognised = grades[k]->unrecognised;
  }
  return scored;
}

}  // namespace l2a
