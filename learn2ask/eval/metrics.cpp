#include "eval/metrics.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace l2a {
namespace {

constexpr std::array<MetricInfo, kMetricCount> kInfos = {{
    {Metric::kWa, "wa", "WA", "WA",
     "how well the questions reach what was still to be asked: mean R_a", Better::kHigher},
    {Metric::kWaGh, "wa_gh", "WA-GH", "WA-GH",
     "share of the turns with something left to ask where the policy asks for it (R_a = 1)",
     Better::kHigher},
    {Metric::kWaInform, "wa_inform", "WA, inform", "WA inf",
     "WA where the expert explained instead of asking", Better::kHigher},
    {Metric::kWaGhInform, "wa_gh_inform", "WA-GH, inform", "WA-GH inf",
     "WA-GH where the expert explained instead of asking", Better::kHigher},
    {Metric::kCr, "cr", "CR", "CR", "share of the continue turns where the policy goes on",
     Better::kHigher},
    {Metric::kTr, "tr", "TR", "TR", "share of the stop turns where the policy stops",
     Better::kHigher},
    {Metric::kAccuracy, "accuracy", "Decision", "Decision",
     "share of right decisions, to go on or to stop", Better::kHigher},
    {Metric::kBalancedAccuracy, "balanced_accuracy", "Balanced", "Balanced", "mean of CR and TR",
     Better::kHigher},
    {Metric::kFormat, "format", "Format", "Format",
     "mean P: 1 for one question or a right stop, 0.5 for two questions, else 0", Better::kHigher},
    {Metric::kFormatPublished, "format_published", "Format at 47.2%", "Form@47.2",
     "format at the published class balance, 47.2% continue turns", Better::kHigher},
    {Metric::kReward, "reward", "Reward", "Reward", "mean fused reward of a reply",
     Better::kHigher},
    {Metric::kRewardPublished, "reward_published", "Reward at 47.2%", "Rew@47.2",
     "reward at the published class balance, 47.2% continue turns", Better::kHigher},
    {Metric::kMalformed, "malformed", "Malformed", "Malformed",
     "share of replies without a decision", Better::kLower},
    {Metric::kNoQuestion, "no_question", "No question", "No quest.",
     "share of the replies that go on but ask nothing", Better::kLower},
    {Metric::kRepeated, "repeated", "Repeated", "Repeated",
     "share of the replies that go on and repeat a question of the expert", Better::kLower},
    {Metric::kQuestionsPerSession, "questions_per_session", "Questions a session", "Quest./s.",
     "questions asked over all turns of a session", Better::kNeither},
}};

struct Ratio {
  double sum = 0, count = 0;

  void add(double value) { sum += value, ++count; }
  Ratio operator+(const Ratio& other) const { return {sum + other.sum, count + other.count}; }
  std::optional<double> value() const {
    return count > 0 ? std::optional(sum / count) : std::nullopt;
  }
};

// The sums of one session, or of a resample of sessions.
struct Tally {
  Ratio wa, wa_gh, wa_inform, wa_gh_inform, cr, tr;
  Ratio format_continue, format_stop, reward_continue, reward_stop;
  Ratio malformed, no_question, repeated, questions;

  static constexpr std::array kRatios = {&Tally::wa,
                                         &Tally::wa_gh,
                                         &Tally::wa_inform,
                                         &Tally::wa_gh_inform,
                                         &Tally::cr,
                                         &Tally::tr,
                                         &Tally::format_continue,
                                         &Tally::format_stop,
                                         &Tally::reward_continue,
                                         &Tally::reward_stop,
                                         &Tally::malformed,
                                         &Tally::no_question,
                                         &Tally::repeated,
                                         &Tally::questions};

  void add(const ScoredRow& row);
  Tally& operator+=(const Tally& other) {
    for (const auto ratio : kRatios) this->*ratio = this->*ratio + other.*ratio;
    return *this;
  }
};

void Tally::add(const ScoredRow& row) {
  const bool go_on = row.truth == Decision::kContinue;
  const bool right = row.action && row.action->decision == row.truth;
  (go_on ? cr : tr).add(right);
  malformed.add(!row.action);
  if (row.action && row.action->decision == Decision::kContinue) {
    no_question.add(row.questions == 0);
    repeated.add(row.repeated);
  }
  if (!row.parts || (go_on && row.wanted == 0)) return;
  (go_on ? format_continue : format_stop).add(row.parts->format);
  (go_on ? reward_continue : reward_stop).add(*row.reward);
  if (!go_on) return;
  wa.add(row.parts->micro);
  wa_gh.add(row.parts->micro == 1);
  if (row.kind != TurnKind::kInform) return;
  wa_inform.add(row.parts->micro);
  wa_gh_inform.add(row.parts->micro == 1);
}

// Mean of two classes at given shares; needs both.
Ratio weighted(const Ratio& go_on, const Ratio& stop, double continue_share) {
  if (go_on.count == 0 || stop.count == 0) return {};
  const double mean = continue_share * *go_on.value() + (1 - continue_share) * *stop.value();
  const double count = go_on.count + stop.count;
  return {mean * count, count};
}

Ratio ratio_of(const Tally& t, Metric metric) {
  switch (metric) {
    case Metric::kWa:
      return t.wa;
    case Metric::kWaGh:
      return t.wa_gh;
    case Metric::kWaInform:
      return t.wa_inform;
    case Metric::kWaGhInform:
      return t.wa_gh_inform;
    case Metric::kCr:
      return t.cr;
    case Metric::kTr:
      return t.tr;
    case Metric::kAccuracy:
      return t.cr + t.tr;
    case Metric::kBalancedAccuracy:
      return weighted(t.cr, t.tr, 0.5);
    case Metric::kFormat:
      return t.format_continue + t.format_stop;
    case Metric::kFormatPublished:
      return weighted(t.format_continue, t.format_stop, kPublishedContinueShare);
    case Metric::kReward:
      return t.reward_continue + t.reward_stop;
    case Metric::kRewardPublished:
      return weighted(t.reward_continue, t.reward_stop, kPublishedContinueShare);
    case Metric::kMalformed:
      return t.malformed;
    case Metric::kNoQuestion:
      return t.no_question;
    case Metric::kRepeated:
      return t.repeated;
    case Metric::kQuestionsPerSession:
      return t.questions;
  }
  check(false, "ratio_of: a metric that does not exist");
  return {};
}

// One tally a session, in the order of session ids, so that the order of rows is of no account.
std::vector<Tally> tally_sessions(std::span<const ScoredRow> rows) {
  struct Replies {
    Tally tally;
    double questions = 0;
    size_t replies_per_context = 1;
  };
  std::map<std::string_view, Replies> sessions;
  for (const ScoredRow& row : rows) {
    Replies& session = sessions[row.session];
    session.tally.add(row);
    if (row.action && row.action->decision == Decision::kContinue) {
      session.questions += static_cast<double>(row.questions);
    }
    session.replies_per_context = std::max(session.replies_per_context, row.reply_index + 1);
  }
  std::vector<Tally> tallies;
  tallies.reserve(sessions.size());
  for (auto& [id, session] : sessions) {
    session.tally.questions.add(session.questions /
                                static_cast<double>(session.replies_per_context));
    tallies.push_back(session.tally);
  }
  return tallies;
}

Tally total(const std::vector<Tally>& tallies) {
  Tally sum;
  for (const Tally& tally : tallies) sum += tally;
  return sum;
}

Tally total(const std::vector<Tally>& tallies, const std::vector<size_t>& drawn) {
  Tally sum;
  for (const size_t index : drawn) sum += tallies[index];
  return sum;
}

using RowKey = std::pair<std::string_view, std::pair<size_t, size_t>>;

std::set<RowKey> keys_of(const Evaluation& evaluation) {
  std::set<RowKey> keys;
  for (const ScoredRow& row : evaluation.rows) {
    keys.insert({row.session, {row.turn, row.reply_index}});
  }
  return keys;
}

std::optional<Error> first_missing(const Evaluation& from, const Evaluation& in) {
  const auto have = keys_of(in);
  for (const RowKey& key : keys_of(from)) {
    if (have.contains(key)) continue;
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("compare: {}/{}: '{}' answers it and '{}' does not (evaluate both on "
                             "the same labels with the same decoding)",
                             key.first, key.second.first, from.facts.policy, in.facts.policy)};
  }
  return std::nullopt;
}

}  // namespace

const std::array<MetricInfo, kMetricCount>& metric_infos() { return kInfos; }

const MetricInfo& metric_info(Metric metric) { return kInfos[static_cast<size_t>(metric)]; }

MetricTable measure(std::span<const ScoredRow> rows, const BootstrapOptions& options) {
  const std::vector<Tally> tallies = tally_sessions(rows);
  std::array<std::vector<double>, kMetricCount> resampled;
  if (!tallies.empty()) {
    resample(tallies.size(), options, [&](const std::vector<size_t>& drawn) {
      const Tally sum = total(tallies, drawn);
      for (size_t m = 0; m < kMetricCount; ++m) {
        if (const auto value = ratio_of(sum, kInfos[m].metric).value()) {
          resampled[m].push_back(*value);
        }
      }
    });
  }
  MetricTable table;
  const Tally all = total(tallies);
  for (size_t m = 0; m < kMetricCount; ++m) {
    const Ratio ratio = ratio_of(all, kInfos[m].metric);
    const auto value = ratio.value();
    if (!value) continue;
    const Interval interval = interval_95(resampled[m], *value);
    table[m] = {*value, interval.low, interval.high, static_cast<size_t>(ratio.count)};
  }
  return table;
}

bool needs_grade(const ScoredRow& row) {
  return row.truth == Decision::kContinue && row.wanted > 0 && row.questions > 0;
}

bool is_unscored(const ScoredRow& row) {
  return !row.parts && !(row.truth == Decision::kContinue && row.wanted == 0);
}

RowCounts count_rows(std::span<const ScoredRow> rows) {
  RowCounts counts;
  std::set<std::string_view> sessions;
  for (const ScoredRow& row : rows) {
    const bool go_on = row.truth == Decision::kContinue;
    sessions.insert(row.session);
    ++counts.replies;
    ++(go_on ? counts.continue_rows : counts.stop_rows);
    counts.inform_rows += go_on && row.kind == TurnKind::kInform;
    counts.empty_rows += go_on && row.wanted == 0;
    counts.unscored += is_unscored(row);
    counts.unrecognised += row.unrecognised;
    counts.cut_contexts += row.reply.turns_cut > 0;
  }
  counts.sessions = sessions.size();
  return counts;
}

Result<PairedDifference> compare(const Evaluation& a, const Evaluation& b, Metric metric,
                                 const BootstrapOptions& options) {
  if (auto missing = first_missing(a, b)) return *missing;
  if (auto missing = first_missing(b, a)) return *missing;
  const std::vector<Tally> tallies_a = tally_sessions(a.rows), tallies_b = tally_sessions(b.rows);
  const auto value_a = ratio_of(total(tallies_a), metric).value();
  const auto value_b = ratio_of(total(tallies_b), metric).value();
  if (!value_a || !value_b) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("compare: {}: undefined for '{}' (no sample of its kind)",
                             metric_info(metric).key, (value_a ? b : a).facts.policy)};
  }
  std::vector<double> differences;
  size_t above_zero = 0;
  resample(tallies_a.size(), options, [&](const std::vector<size_t>& drawn) {
    const auto in_a = ratio_of(total(tallies_a, drawn), metric).value();
    const auto in_b = ratio_of(total(tallies_b, drawn), metric).value();
    if (!in_a || !in_b) return;
    differences.push_back(*in_a - *in_b);
    above_zero += differences.back() > 0;
  });
  PairedDifference result{
      .metric = metric, .a = *value_a, .b = *value_b, .difference = *value_a - *value_b};
  result.share_above_zero = static_cast<double>(above_zero) /
                            static_cast<double>(std::max<size_t>(differences.size(), 1));
  const Interval interval = interval_95(differences, result.difference);
  result.low = interval.low;
  result.high = interval.high;
  return result;
}

}  // namespace l2a
