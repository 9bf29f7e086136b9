#include "eval/dialogues.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "base/rng.h"
#include "base/utf8.h"

namespace l2a {
namespace {

using SampleKey = std::pair<std::string, size_t>;  // session, turn

// For each model's evaluation, its first reply at each sample.
struct Answers {
  std::string policy;
  std::map<SampleKey, const ScoredRow*> rows;
};

std::vector<Answers> first_replies(std::span<const Evaluation> evaluations) {
  std::vector<Answers> all;
  for (const Evaluation& evaluation : evaluations) {
    if (evaluation.facts.role != PolicyRole::kModel) continue;
    all.push_back({evaluation.facts.policy, {}});
    for (const ScoredRow& row : evaluation.rows) {
      if (row.reply_index == 0) all.back().rows[{row.session, row.turn}] = &row;
    }
  }
  return all;
}

bool answered_by_all(const SampleKey& key, const std::vector<Answers>& all) {
  return std::all_of(all.begin(), all.end(),
                     [&](const Answers& answers) { return answers.rows.contains(key); });
}

// A sample of the session with the asked decision, drawn evenly; null when it has none.
const Sample* draw(const LabelledSession& session, Decision truth, const std::vector<Answers>& all,
                   Rng& rng) {
  std::vector<const Sample*> candidates;
  for (const Sample& sample : session.samples) {
    const bool fits = is_labelled(sample) && sample.decision->value == truth &&
                      !has_empty_target(sample) && answered_by_all({session.id, sample.turn}, all);
    if (fits) candidates.push_back(&sample);
  }
  return candidates.empty() ? nullptr : rng.pick(candidates);
}

DialogueSample make_dialogue(const LabelledSession& session, const Sample& sample,
                             const std::vector<Answers>& all) {
  DialogueSample dialogue;
  dialogue.context_id = sample_id(session, sample);
  const auto context = std::span(session.turns).first(sample.turn);
  dialogue.context.assign(context.begin(), context.end());
  dialogue.open = *sample.wanted;
  dialogue.truth = sample.decision->value;
  dialogue.expert = session.turns[sample.turn].text;
  for (const Answers& answers : all) {
    dialogue.answers.push_back({answers.policy, *answers.rows.at({session.id, sample.turn})});
  }
  return dialogue;
}

constexpr size_t kShownBytes = 600;

}  // namespace

std::vector<DialogueSample> sample_dialogues(std::span<const LabelledSession> sessions,
                                             std::span<const Evaluation> evaluations, size_t count,
                                             uint64_t seed) {
  const std::vector<Answers> all = first_replies(evaluations);
  Rng rng = Rng::stream(seed, "dialogues");
  std::vector<size_t> order(sessions.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  rng.shuffle(order);

  std::vector<DialogueSample> dialogues;
  for (const size_t index : order) {
    if (dialogues.size() == count) break;
    const LabelledSession& session = sessions[index];
    const bool stop_next = dialogues.size() % 3 == 2;
    const Sample* sample =
        draw(session, stop_next ? Decision::kStop : Decision::kContinue, all, rng);
    if (!sample) {
      sample = draw(session, stop_next ? Decision::kContinue : Decision::kStop, all, rng);
    }
    if (sample) dialogues.push_back(make_dialogue(session, *sample, all));
  }
  return dialogues;
}

std::string verdict_text(const ScoredRow& row) {
  if (!row.action) return "malformed";
  if (row.action->decision != row.truth) return "wrong decision";
  if (!row.parts) return "right decision, unscored";
  return fmt::format("right decision, R_a {}, P {}, reward {}", row.parts->micro, row.parts->format,
                     *row.reward);
}

std::string dialogues_to_text(std::span<const DialogueSample> dialogues) {
  std::string out;
  for (const DialogueSample& dialogue : dialogues) {
    out += fmt::format("--- {}\n", shown(dialogue.context_id));
    for (const Turn& turn : dialogue.context) {
      out += fmt::format("{:>9}: {}\n", turn.role == Role::kUser ? "user" : "expert",
                         shown(turn.text, kShownBytes));
    }
    out += dialogue.truth == Decision::kStop ? "  nothing left to ask: stop\n" : "";
    for (const Item& item : dialogue.open) {
      out += fmt::format("  open: {} -> {}\n", shown(item.question, kShownBytes),
                         shown(item.fact, kShownBytes));
    }
    for (const PolicyAnswer& answer : dialogue.answers) {
      out += fmt::format("  {} says: {}\n      ({})\n", shown(answer.policy),
                         shown(answer.row.reply.text, kShownBytes), verdict_text(answer.row));
    }
    out += fmt::format("  the expert said: {}\n\n", shown(dialogue.expert, kShownBytes));
  }
  return out;
}

}  // namespace l2a
