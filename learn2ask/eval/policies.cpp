#include "eval/policies.h"

#include <unordered_map>

#include <fmt/format.h>

#include "base/utf8.h"

namespace l2a {
namespace {

bool stops_at(const Sample& sample) {
  return sample.decision && sample.decision->value == Decision::kStop;
}

std::string expert_reply(const LabelledSession& session, const Sample& sample, ReplyFormat format) {
  if (stops_at(sample)) return render_action({Decision::kStop, ""}, format);
  return render_action({Decision::kContinue, session.turns[sample.turn].text}, format);
}

std::string said_before(std::span<const Turn> turns) {
  std::string said;
  for (const Turn& turn : turns) said += turn.text + "\n";
  return said;
}

}  // namespace

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

NearestContextPolicy::NearestContextPolicy(std::span<const LabelledSession> training,
                                           const QuestionForms& forms, ReplyFormat format)
    : NearestContextPolicy(answered_in(training, format), forms) {}

NearestContextPolicy::NearestContextPolicy(Answered answered, const QuestionForms& forms)
    : sessions_(std::move(answered.sessions)),
      replies_(std::move(answered.replies)),
      index_(answered.contexts, forms) {}

NearestContextPolicy::Answered NearestContextPolicy::answered_in(
    std::span<const LabelledSession> training, ReplyFormat format) {
  Answered answered;
  for (const LabelledSession& session : training) {
    for (const Sample& sample : session.samples) {
      if (!stops_at(sample) && sample.kind.value != TurnKind::kAsk) continue;
      answered.sessions.push_back(session.id);
      answered.contexts.push_back(said_before(std::span(session.turns).first(sample.turn)));
      answered.replies.push_back(expert_reply(session, sample, format));
    }
  }
  if (answered.replies.empty()) {
    fail_input("nearest context: no expert of the training sessions asks or stops");
  }
  return answered;
}

std::vector<std::vector<Reply>> NearestContextPolicy::reply(std::span<const Context> contexts,
                                                            const DecodingOptions& options) {
  std::vector<std::vector<Reply>> replies;
  for (const Context& context : contexts) {
    const std::string session = context.id.substr(0, context.id.rfind('/'));
    const auto is_another = [&](size_t i) { return sessions_[i] != session; };
    size_t chosen = 0;
    if (const auto nearest = index_.nearest(said_before(context.turns), is_another)) {
      chosen = nearest->text;
    } else {
      while (chosen < sessions_.size() && !is_another(chosen)) ++chosen;
      if (chosen == sessions_.size()) {
        fail_input("nearest context: " + shown(session) +
                   " is the only training session (give others with --train-labels)");
      }
    }
    replies.emplace_back(static_cast<size_t>(options.replies), Reply{replies_[chosen], false});
  }
  return replies;
}

ExpertPolicy::ExpertPolicy(std::span<const LabelledSession> sessions, ReplyFormat format) {
  for (const LabelledSession& session : sessions) {
    for (const Sample& sample : session.samples) {
      text_of_[sample_id(session, sample)] = expert_reply(session, sample, format);
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
