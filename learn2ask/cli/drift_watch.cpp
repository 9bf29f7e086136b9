#include "cli/drift_watch.h"

#include <algorithm>
#include <fstream>
#include <set>

#include <fmt/format.h>

#include "base/utf8.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "drift";
constexpr size_t kFewestReplies = 100, kFewestSessions = 20;  // that an interval can rest on

int64_t step_of(const Json& line) {
  constexpr size_t kMost = 1'000'000'000;
  return static_cast<int64_t>(get_index(line, "step", kMost).value_or_throw());
}

}  // namespace

DriftWatch::DriftWatch(fs::path run, const SampleIndex& samples, const QuestionForms& forms,
                       ReplyFormat format, Grader& looks_on, std::string rewards, int64_t every,
                       Note note)
    : run_(std::move(run)),
      samples_(samples),
      forms_(forms),
      format_(format),
      looks_on_(looks_on),
      rewards_(std::move(rewards)),
      every_(every),
      note_(std::move(note)) {}

void DriftWatch::read_earlier(const fs::path& path) {
  for_each_row(path, kFormat, [&](JsonLine&& line) {
    done_ = step_of(line.value);
    if (at_start_ || !get_bool_or(line.value, "enough", false).value_or_throw()) return;
    const Json& agreement = *get_object(line.value, "agreement").value_or_throw();
    if (agreement.value("linear_kappa", Json()).is_null()) return;
    const Json& kappa = *get_object(agreement, "linear_kappa").value_or_throw();
    at_start_ = {get_number(kappa, "low").value_or_throw(),
                 get_number(kappa, "high").value_or_throw()};
  });
}

// Those that rightly continue and ask something where something is open; unscored ones are not in
// rollouts.jsonl.
void DriftWatch::read_new_replies() {
  const fs::path path = run_ / "rollouts.jsonl";
  const auto size = static_cast<std::streamoff>(fs::file_size(path));
  std::ifstream in(path, std::ios::binary);
  in.seekg(read_);
  // Lines of our own, with texts that a model wrote: a NUL among them is nothing to stop at.
  for (std::string line; std::getline(in, line);) {
    const Json row = parse_json_with_nul(line).value_or_throw();
    const int64_t step = step_of(row);
    if (step <= done_ || get_bool_or(row, "truncated", false).value_or_throw()) continue;
    const auto place = samples_.find(get_string(row, "context").value_or_throw());
    const auto action = parse_reply({.text = get_string(row, "text").value_or_throw()}, format_);
    if (!place || !action || action->decision == Decision::kStop) continue;
    const Sample& sample = *place->sample;
    if (sample.decision->value == Decision::kStop || !sample.wanted || sample.wanted->empty() ||
        forms_.questions(action->question).empty()) {
      continue;
    }
    replies_.push_back({step, *place, action->question, get_number(row, "micro").value_or_throw()});
  }
  read_ = size;
}

void DriftWatch::after(int64_t step) {
  if (!journal_) {
    const fs::path path = run_ / "drift.jsonl";
    journal_ = std::make_unique<HeadedJournal>(
        path, FileHeader{.format = kFormat, .command = "learn2ask train"});
    read_earlier(path);
  }
  const int64_t next = (done_ / every_ + 1) * every_;
  if (next > step) return;
  read_new_replies();
  // More than one where an earlier call was killed between a step and its line.
  for (int64_t at = next; at <= step; at += every_) look(at);
}

void DriftWatch::look(int64_t step) {
  const auto later = std::stable_partition(replies_.begin(), replies_.end(),
                                           [&](const Reply& reply) { return reply.step <= step; });
  std::vector<GradeRequest> requests;
  for (const Reply& reply : std::span(replies_.begin(), later)) {
    const auto& [session, sample] = reply.place;
    requests.push_back({.context_id = sample_id(*session, *sample),
                        .context = std::span(session->turns).first(sample->turn),
                        .wanted = *sample->wanted,
                        .question = reply.question});
  }
  const auto grades = looks_on_.grade(requests);
  std::vector<VerdictPair> pairs;
  for (size_t i = 0; i < grades.size(); ++i) {
    pairs.push_back({replies_[i].place.session->id, replies_[i].rewarded,
                     grades[i] ? Verdict(grades[i]->content) : std::nullopt});
  }
  replies_.erase(replies_.begin(), later);

  const JudgeAgreement agreement =
      measure_judges(rewards_, looks_on_.name(), pairs, {.resamples = 500});
  std::set<std::string> sessions;
  for (const VerdictPair& pair : pairs) sessions.insert(pair.session);
  const bool enough =
      scored_in(agreement.table) >= kFewestReplies && sessions.size() >= kFewestSessions;
  const Estimate* kappa =
      enough && agreement.linear_kappa ? &*agreement.linear_kappa : nullptr;  // null: says nothing
  const bool alarm = kappa && at_start_ && kappa->high < at_start_->low;
  journal_->append(dump_json(
      {{"step", step}, {"alarm", alarm}, {"enough", enough}, {"agreement", to_json(agreement)}}));
  done_ = step;
  if (alarm) {
    note_(
        fmt::format("drift: {} and {} agree less than at the start (kappa {:.2f} [{:.2f}, "
                    "{:.2f}], then [{:.2f}, {:.2f}]): the policy may be learning to please the "
                    "one that rewards it: read the latest replies in rollouts.jsonl",
                    shown(rewards_), shown(looks_on_.name()), kappa->value, kappa->low, kappa->high,
                    at_start_->low, at_start_->high));
  }
  if (kappa && !at_start_) at_start_ = {kappa->low, kappa->high};
}

}  // namespace l2a
