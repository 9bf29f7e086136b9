#include "eval/policies.h"

#include <unordered_map>

#include <fmt/format.h>

#include "base/utf8.h"

namespace l2a {

ConstantPolicy ConstantPolicy::always_stop(ReplyFormat format) {
  return {"always stop", render_action({Decision::kStop, ""}, format)};
}

ConstantPolicy ConstantPolicy::always_ask(const std::string& question, ReplyFormat format) {
  if (trim(question).empty()) fail_input("fixed question: empty (give the question to ask)");
  return {"fixed question", render_action({Decision::kContinue, trim(question)}, format)};
}

std::vector<std::vector<Reply>> ConstantPolicy::reply(std::span<const Context> contexts,
                                                      const DecodingOptions& options) {
  const std::vector<Reply> replies(static_cast<size_t>(options.replies), Reply{text_, false});
  return std::vector<std::vector<Reply>>(contexts.size(), replies);
}

ExpertPolicy::ExpertPolicy(std::span<const LabelledSession> sessions, ReplyFormat format) {
  for (const LabelledSession& session : sessions) {
    for (const Sample& sample : session.samples) {
      const bool stops = sample.decision && sample.decision->value == Decision::kStop;
      const Action action = stops ? Action{Decision::kStop, ""}
                                  : Action{Decision::kContinue, session.turns[sample.turn].text};
      text_of_[sample_id(session, sample)] = render_action(action, format);
    }
  }
}

std::vector<std::vector<Reply>> ExpertPolicy::reply(std::span<const Context> contexts,
                                                    const DecodingOptions& options) {
  std::vector<std::vector<Reply>> replies;
  for (const Context& context : contexts) {
    const auto found = text_of_.find(context.id);
    if (found == text_of_.end()) {
      fail_input(fmt::format("expert: {}: not a sample of the labelled sessions", context.id));
    }
    replies.emplace_back(static_cast<size_t>(options.replies), Reply{found->second, false});
  }
  return replies;
}

std::string most_frequent_question(std::span<const LabelledSession> sessions,
                                   const QuestionForms& forms) {
  struct Seen {
    std::string first_written;
    size_t times = 0, order = 0;
  };
  std::unordered_map<std::string, Seen> seen;
  for (const LabelledSession& session : sessions) {
    for (const Sample& sample : session.samples) {
      for (const std::string& question : forms.questions(session.turns[sample.turn].text)) {
        const auto [at, added] = seen.try_emplace(question_key(question));
        if (added) at->second = {question, 0, seen.size()};
        ++at->second.times;
      }
    }
  }
  const Seen* best = nullptr;
  for (const auto& [key, question] : seen) {
    const bool better = !best || question.times > best->times ||
                        (question.times == best->times && question.order < best->order);
    if (better) best = &question;
  }
  if (!best) fail_input("fixed question: no expert of the training sessions asks anything");
  return best->first_written;
}

}  // namespace l2a
