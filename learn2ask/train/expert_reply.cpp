#include "train/expert_reply.h"

#include "dialogue/action.h"

namespace l2a {
namespace {

std::optional<Action> expert_action(const LabelledSession& session, const Sample& sample,
                                    const QuestionForms* forms, const ExpertTurns& turns) {
  if (!is_labelled(sample)) return std::nullopt;
  if (sample.decision->value == Decision::kStop) return Action{Decision::kStop, ""};
  const std::string& text = session.turns[sample.turn].text;
  if (sample.kind.value == TurnKind::kAsk) {
    const bool asks = turns.train_without_question || !forms || !forms->questions(text).empty();
    if (!asks) return std::nullopt;
  } else if (!turns.train_inform) {
    return std::nullopt;
  }
  return Action{Decision::kContinue, text};
}

}  // namespace

std::optional<ExpertReply> expert_reply(const LabelledSession& session, const Sample& sample,
                                        const TrainerSetup& setup, const ExpertTurns& turns) {
  const auto action = expert_action(session, sample, setup.forms, turns);
  if (!action) return std::nullopt;
  std::string text = render_action(*action, setup.format);
  auto ids = setup.window.chat().reply_ids(text);
  return ExpertReply{std::move(text), std::move(ids)};
}

}  // namespace l2a
