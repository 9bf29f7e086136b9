#include "eval/evaluate.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/interrupt.h"
#include "base/utf8.h"
#include "eval/metrics.h"
#include "eval/policies.h"

namespace l2a {
namespace {

constexpr std::ptrdiff_t kRepliesToJudgeAGrader = 200;

// What becomes of one sample.
enum class Part { kTaken, kUnlabelled, kCensored, kDroppedEmpty };

Part part_of(const Sample& sample, const ScoringOptions& scoring) {
  if (!sample.decision) return Part::kCensored;
  if (!is_labelled(sample)) return Part::kUnlabelled;
  if (scoring.compat && has_empty_target(sample)) return Part::kDroppedEmpty;
  return Part::kTaken;
}

EvaluationFacts facts_of(const Policy& policy, const Grader& grader,
                         std::span<const LabelledSession> sessions,
                         const EvaluationOptions& options) {
  EvaluationFacts facts{.policy = policy.name(),
                        .role = options.role,
                        .grader = grader.name(),
                        .trained_by = options.trained_by,
                        .split = options.split,
                        .prompts = options.prompts,
                        .decoding = options.decoding,
                        .scoring = options.scoring};
  for (const LabelledSession& session : sessions) {
    for (const Sample& sample : session.samples) {
      const Part part = part_of(sample, options.scoring);
      facts.censored += part == Part::kCensored;
      facts.unlabelled += part == Part::kUnlabelled;
      facts.dropped_empty += part == Part::kDroppedEmpty;
    }
  }
  return facts;
}

// The taken samples of some sessions with the policy's replies to them, flat: `requests` holds
// `replies` entries for each sample.
std::vector<ScoreRequest> ask(Policy& policy, std::span<const LabelledSession> sessions,
                              const EvaluationOptions& options) {
  std::vector<Context> contexts;
  std::vector<ScoreRequest> samples;
  for (const LabelledSession& session : sessions) {
    for (const Sample& sample : session.samples) {
      if (part_of(sample, options.scoring) != Part::kTaken) continue;
      contexts.push_back({sample_id(session, sample), std::span(session.turns).first(sample.turn)});
      samples.push_back({.session = &session, .sample = &sample, .reply = {}});
    }
  }
  if (contexts.empty()) return {};
  auto replies = policy.reply(contexts, options.decoding);
  check(replies.size() == contexts.size(), "evaluate: a policy must answer every context");
  std::vector<ScoreRequest> requests;
  for (size_t i = 0; i < samples.size(); ++i) {
    check(replies[i].size() == static_cast<size_t>(options.decoding.replies),
          "evaluate: a policy must give the number of replies asked for");
    for (Reply& reply : replies[i]) {
      requests.push_back(samples[i]);
      requests.back().reply = std::move(reply);
    }
  }
  return requests;
}

// Whether the question asks again what already stands in the expert's turns before it.
bool repeats(const ScoreRequest& request, const Action& action, const QuestionForms& forms) {
  std::set<std::string> asked;
  for (const Turn& turn : std::span(request.session->turns).first(request.sample->turn)) {
    if (turn.role != Role::kAssistant) continue;
    for (const std::string& question : forms.questions(turn.text)) {
      asked.insert(question_key(question));
    }
  }
  const auto questions = forms.questions(action.question);
  return std::any_of(questions.begin(), questions.end(), [&](const std::string& question) {
    return asked.contains(question_key(question));
  });
}

// The text with every byte that is not valid UTF-8 replaced by U+FFFD: rows are JSON. Replies of
// such text are malformed and stay so.
Reply storable(const Reply& reply) {
  Reply kept{"", reply.truncated, reply.turns_cut};
  std::string_view rest = reply.text;
  while (const auto bad = find_bad_utf8(rest)) {
    kept.text += rest.substr(0, *bad);
    append_utf8(kept.text, U'\uFFFD');
    rest.remove_prefix(*bad + 1);
  }
  kept.text += rest;
  return kept;
}

ScoredRow make_row(const ScoreRequest& request, size_t reply_index, ScoredReply&& scored,
                   const QuestionForms& forms) {
  const bool goes_on = scored.action && scored.action->decision == Decision::kContinue;
  ScoredRow row;
  row.session = request.session->id;
  row.turn = request.sample->turn;
  row.reply_index = reply_index;
  row.kind = request.sample->kind.value;
  row.truth = request.sample->decision->value;
  row.wanted = request.sample->wanted->size();
  row.reply = storable(request.reply);
  row.repeated = goes_on && repeats(request, *scored.action, forms);
  row.action = std::move(scored.action);
  row.questions = scored.questions;
  row.parts = scored.parts;
  row.reward = scored.reward;
  row.reason = std::move(scored.reason);
  row.unrecognised = scored.unrecognised;
  return row;
}

EvaluatedBatch evaluate_batch(Policy& policy, std::span<const LabelledSession> sessions,
                              std::span<Grader* const> graders, const QuestionForms& forms,
                              const EvaluationOptions& options) {
  EvaluatedBatch batch{sessions.size(), std::vector<std::vector<ScoredRow>>(graders.size())};
  const std::vector<ScoreRequest> requests = ask(policy, sessions, options);
  const size_t replies = static_cast<size_t>(options.decoding.replies);
  for (size_t g = 0; g < graders.size() && !requests.empty(); ++g) {
    auto scored = score_replies(requests, *graders[g], forms, options.scoring);
    for (size_t i = 0; i < requests.size(); ++i) {
      batch.rows[g].push_back(make_row(requests[i], i % replies, std::move(scored[i]), forms));
    }
  }
  return batch;
}

// `at_end`: no more replies come; until then some are needed to judge a grader.
void check_failures(const Evaluation& evaluation, double max_rate, bool at_end) {
  const auto& rows = evaluation.rows;
  const auto unscored = std::count_if(rows.begin(), rows.end(), is_unscored);
  const auto to_grade = std::count_if(rows.begin(), rows.end(), needs_grade);
  if (!at_end && to_grade < kRepliesToJudgeAGrader) return;
  if (static_cast<double>(unscored) <= max_rate * static_cast<double>(to_grade)) return;
  const auto first = std::find_if(rows.begin(), rows.end(), is_unscored);
  fail(ErrorCode::kUnsupported,
       fmt::format("evaluate: grader {}: {} of {} replies could not be scored (max_failure_rate = "
                   "{}), first {}/{}: {}",
                   evaluation.facts.grader, unscored, to_grade, max_rate, shown(first->session),
                   first->turn, first->reason));
}

}  // namespace

DecodingOptions published_decoding() {
  return {.temperature = 1,
          .top_p = 0.95,
          .repetition_penalty = 1.2,
          .max_reply_tokens = 512,
          .replies = 3};
}

std::vector<Evaluation> evaluate(Policy& policy, std::span<const LabelledSession> sessions,
                                 std::span<Grader* const> graders, const QuestionForms& forms,
                                 const EvaluationOptions& options,
                                 const std::function<void(size_t)>& sessions_done) {
  std::vector<Evaluation> evaluations;
  for (const Grader* grader : graders) {
    evaluations.push_back({facts_of(policy, *grader, sessions, options), {}});
  }
  for (size_t begin = 0; begin < sessions.size();) {
    throw_if_interrupted();
    auto batch = options.journal ? options.journal->take_found() : std::nullopt;
    const bool found = batch.has_value();
    if (!found) {
      const size_t count = std::min(options.sessions_per_batch, sessions.size() - begin);
      batch = evaluate_batch(policy, sessions.subspan(begin, count), graders, forms, options);
    }
    begin += batch->sessions;
    check(begin <= sessions.size(), "evaluate: the journal is of more sessions");
    for (size_t g = 0; g < graders.size(); ++g) {
      auto& rows = evaluations[g].rows;
      rows.insert(rows.end(), batch->rows[g].begin(), batch->rows[g].end());
      check_failures(evaluations[g], options.max_failure_rate, begin == sessions.size());
    }
    if (options.journal && !found) options.journal->append(*batch);
    sessions_done(batch->sessions);
  }
  for (const Evaluation& evaluation : evaluations) {
    if (evaluation.rows.empty()) {
      fail_input(fmt::format("evaluate: {}: none of its {} sessions has a sample with both targets",
                             options.split, sessions.size()));
    }
  }
  return evaluations;
}

}  // namespace l2a
