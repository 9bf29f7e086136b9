#include "hindsight/label.h"

#include <algorithm>

#include "hindsight/stop_rules.h"

namespace l2a {
namespace {

bool contains(const std::vector<std::string>& list, const std::string& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// `labels.act` of a message; nullptr when it has none.
const std::string* act_of(const Message& message) {
  const auto labels = message.extra.find("labels");
  if (labels == message.extra.end() || !labels->is_object()) return nullptr;
  const auto act = labels->find("act");
  return act != labels->end() && act->is_string() ? act->get_ptr<const std::string*>() : nullptr;
}

// What a turn decides when no stop is found there.
Ruled<Decision> go_on(const Ruled<bool>& asking, bool compat) {
  if (compat) return {Decision::kContinue, "user_message_left"};
  const bool labelled = asking.value && asking.rule == "act_label";
  return {Decision::kContinue, labelled ? "act_label" : "gathers_on"};
}

void make_stop(Sample& sample, const std::string& rule) {
  sample.kind = {TurnKind::kStop, rule};
  sample.decision = {Decision::kStop, rule};
}

// The session's keys that LabelledSession has no member for, in their JSON form.
Json other_keys(const Session& session) {
  Json extra = to_json(session);
  extra.erase("session_id");
  extra.erase("messages");
  return extra;
}

}  // namespace

Labeller::Labeller(LabelOptions options, const QuestionForms& forms, Extractor& extractor,
                   Overrides* overrides)
    : options_(std::move(options)), forms_(forms), extractor_(extractor), overrides_(overrides) {
  if (options_.compat && overrides_ != nullptr) {
    fail_input("overrides: not with label.compat, which decides by one rule alone");
  }
  if (options_.compat && options_.horizon > 0) {
    fail_input("label.horizon: not with label.compat, for which all that is asked later is open");
  }
  if (contains(options_.stop_markers, "")) {
    fail_input("stop_markers: '': an empty text stands in every message");
  }
}

std::vector<std::optional<TurnKind>> Labeller::act_labels(const Session& session,
                                                          std::span<const Turn> turns) const {
  std::vector<std::optional<TurnKind>> labels(turns.size());
  for (size_t t = 0; t < turns.size(); ++t) {
    if (turns[t].role == Role::kUser) continue;
    bool stop = false, ask = false, inform = false;
    for (size_t m = 0; m < turns[t].message_count; ++m) {
      const std::string* act = act_of(session.messages[turns[t].first_message + m]);
      if (act == nullptr) continue;
      stop = stop || contains(options_.acts.stop, *act);
      ask = ask || contains(options_.acts.ask, *act);
      inform = inform || contains(options_.acts.inform, *act);
    }
    if (stop) {
      labels[t] = TurnKind::kStop;
    } else if (ask || inform) {
      labels[t] = ask ? TurnKind::kAsk : TurnKind::kInform;
    }
  }
  return labels;
}

// A session that lacks nothing but I*_t.
struct Labeller::Draft {
  const Session* session;
  LabelledSession labelled;
  std::vector<Ruled<bool>> asking;
  std::vector<size_t> expert_turns;

  Gathering gathering() const {
    const bool stops = labelled.samples.back().kind.value == TurnKind::kStop;
    const size_t end = stops ? expert_turns.back() : labelled.turns.size();
    return {*session, std::span(labelled.turns).first(end), std::span(asking).first(end),
            expert_turns};
  }
};

std::vector<LabelOutcome> Labeller::label(std::span<const Session> sessions) {
  std::vector<Result<Draft>> drafts;
  std::vector<Gathering> gatherings;
  drafts.reserve(sessions.size());  // gatherings look into drafts
  for (const Session& session : sessions) {
    drafts.push_back(draft(session));
    if (drafts.back()) gatherings.push_back(drafts.back()->gathering());
  }
  auto targets = extractor_.extract(gatherings);
  check(targets.size() == gatherings.size(), "Extractor: targets for each session");
  std::vector<LabelOutcome> outcomes;
  auto next = targets.begin();
  for (Result<Draft>& made : drafts) {
    outcomes.push_back(made ? finish(std::move(*made), std::move(*next++))
                            : LabelOutcome{.session = made.error()});
  }
  return outcomes;
}

Result<Labeller::Draft> Labeller::draft(const Session& session) const {
  Draft draft{.session = &session,
              .labelled = {.id = session.id, .turns = turns_of(session), .samples = {}},
              .asking = {},
              .expert_turns = {}};
  LabelledSession& labelled = draft.labelled;
  labelled.messages = session.messages;
  labelled.extra = other_keys(session);
  for (const char* key : {"censored", "items", "samples"}) {
    if (!labelled.extra.contains(key)) continue;
    return Error{ErrorCode::kInvalidInput,
                 std::string("'") + key + "': the labels have a key of that name: rename it"};
  }
  const auto& turns = labelled.turns;
  const auto labels = act_labels(session, turns);
  const auto& asking = draft.asking = asking_turns(turns, labels, forms_);
  const auto by_person = decided(session.id, turns.size());
  const StopFound stop =
      options_.compat
          ? find_stop_compat(turns)
          : find_stop({turns, labels, asking, options_.stop_markers, session.stop_seen, by_person});
  labelled.censored = stop.censored_turn.has_value();

  bool user_spoke = false;
  for (size_t t = 0; t < turns.size() && (!stop.turn || t <= *stop.turn); ++t) {
    user_spoke = user_spoke || turns[t].role == Role::kUser;
    if (!user_spoke || turns[t].role == Role::kUser) continue;
    Sample sample;
    sample.turn = t;
    sample.kind = {asking[t].value ? TurnKind::kAsk : TurnKind::kInform, asking[t].rule};
    if (stop.turn == t) {
      make_stop(sample, stop.rule);
    } else if (by_person[t]) {
      sample.decision = {Decision::kContinue, "override"};
    } else if (stop.censored_turn != t) {
      sample.decision = go_on(asking[t], options_.compat);
    }
    draft.expert_turns.push_back(t);
    labelled.samples.push_back(std::move(sample));
  }
  if (labelled.samples.empty()) {
    return Error{ErrorCode::kInvalidInput, "no expert message after a user message"};
  }
  return draft;
}

const Override* Labeller::correction_at(const std::string& session, size_t turn) const {
  return overrides_ == nullptr ? nullptr : overrides_->find(session, turn);
}

std::vector<std::optional<Decision>> Labeller::decided(const std::string& session,
                                                       size_t turns) const {
  std::vector<std::optional<Decision>> decisions(turns);
  for (size_t t = 0; t < turns; ++t) {
    if (const Override* correction = correction_at(session, t)) decisions[t] = correction->decision;
  }
  return decisions;
}

// Items whose question lies past the horizon, but for what a person wrote down.
void Labeller::leave_out_what_is_far(Draft& draft) const {
  auto& samples = draft.labelled.samples;
  for (size_t i = 0; i + options_.horizon < draft.expert_turns.size() && i < samples.size(); ++i) {
    const Override* correction = correction_at(draft.labelled.id, samples[i].turn);
    if (!samples[i].wanted || (correction != nullptr && correction->wanted)) continue;
    const size_t end = draft.expert_turns[i + options_.horizon];
    std::erase_if(*samples[i].wanted, [&](const Item& item) { return item.question_turn >= end; });
  }
}

LabelOutcome Labeller::finish(Draft draft, Targets targets) {
  LabelledSession& labelled = draft.labelled;
  auto& samples = labelled.samples;
  check(targets.size() == samples.size(), "Extractor: one result for each expert turn");
  std::vector<Error> errors;
  for (size_t i = 0; i < samples.size(); ++i) {
    const Override* correction = correction_at(labelled.id, samples[i].turn);
    if (correction != nullptr && correction->wanted) {
      samples[i].wanted = items_of(*correction, *draft.session, labelled.turns, samples[i].turn);
    } else if (targets[i]) {
      samples[i].wanted = std::move(*targets[i]);
    } else {
      errors.push_back({targets[i].error().code,
                        sample_id(labelled, samples[i]) + ": " + targets[i].error().message});
    }
  }

  if (options_.stop_when_nothing_follows && !options_.compat && !labelled.censored) {
    const auto first = first_with_nothing_to_follow(samples);
    // A person's "continue" goes before this rule, too.
    const auto decided = std::find_if(samples.rbegin(), samples.rend(), [](const Sample& sample) {
      return sample.decision && sample.decision->rule == "override";
    });
    const auto last_decided = static_cast<size_t>(samples.rend() - decided);  // one past it
    if (first && *first >= last_decided && samples[*first].kind.value != TurnKind::kStop) {
      samples.resize(*first + 1);
      make_stop(samples.back(), "nothing_follows");
    }
  }
  if (options_.horizon > 0) leave_out_what_is_far(draft);
  for (const Sample& sample : samples) {
    if (correction_at(labelled.id, sample.turn)) overrides_->mark_used(labelled.id, sample.turn);
  }
  if (options_.compat) dropped_ += std::erase_if(samples, has_empty_target);
  return {std::move(labelled), std::move(errors)};
}

}  // namespace l2a
