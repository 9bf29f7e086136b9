#include "eval/tables.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "base/utf8.h"
#include "eval/text_layout.h"

namespace l2a {
namespace {

constexpr Metric kHeadline[] = {Metric::kWa,     Metric::kWaGh,     Metric::kCr,
                                Metric::kTr,     Metric::kAccuracy, Metric::kBalancedAccuracy,
                                Metric::kFormat, Metric::kReward,   Metric::kRewardPublished};
constexpr Metric kDetail[] = {
    Metric::kWaInform,   Metric::kWaGhInform, Metric::kFormatPublished,    Metric::kMalformed,
    Metric::kNoQuestion, Metric::kRepeated,   Metric::kQuestionsPerSession};

constexpr size_t kNameWidth = 20;

const std::optional<Estimate>& estimate_of(const Summary& row, Metric metric) {
  return row.metrics[static_cast<size_t>(metric)];
}

std::string decoding_text(const DecodingOptions& decoding) {
  const std::string how =
      decoding.temperature == 0
          ? "greedy"
          : fmt::format("temperature {}, top-p {}", decoding.temperature, decoding.top_p);
  const std::string penalty =
      decoding.repetition_penalty == 1
          ? ""
          : fmt::format(", repetition penalty {}", decoding.repetition_penalty);
  return fmt::format("{}{}, {} {} a context, at most {} tokens, seed {}", how, penalty,
                     decoding.replies, decoding.replies == 1 ? "reply" : "replies",
                     decoding.max_reply_tokens, decoding.seed);
}

std::string scoring_text(const ScoringOptions& scoring) {
  return fmt::format("{} replies, {} reward (at most {}){}",
                     scoring.format == ReplyFormat::kPlain ? "plain" : "tuple",
                     fusion_name(scoring.fusion), max_reward(scoring.fusion),
                     scoring.compat ? ", compat" : "");
}

// What policies must share to stand in one table.
std::string group_key(const EvaluationFacts& facts) {
  return dump_json(
      {facts.grader, facts.split, decoding_text(facts.decoding), scoring_text(facts.scoring)});
}

std::string counts_text(const Summary& row) {
  const RowCounts& counts = row.counts;
  std::string text = fmt::format(
      "{} sessions, {} replies: {} continue (of which inform {}, nothing left to ask {}), {} stop",
      counts.sessions, counts.replies, counts.continue_rows, counts.inform_rows, counts.empty_rows,
      counts.stop_rows);
  text += fmt::format("; left out: {} unlabelled, {} censored", row.facts.unlabelled,
                      row.facts.censored);
  if (row.facts.dropped_empty > 0) {
    text += fmt::format(", {} continue with nothing left to ask", row.facts.dropped_empty);
  }
  return text;
}

// "policy.txt 0123456789ab (base, SFT)": a prompt is named once with the policies that use it.
std::string prompts_text(const std::vector<const Summary*>& rows) {
  std::map<std::string, std::string> policies_of;
  for (const Summary* row : rows) {
    for (const auto& [name, hash] : row->facts.prompts) {
      std::string& policies = policies_of[name + " " + hash.substr(0, 12)];
      policies += (policies.empty() ? "" : ", ") + row->facts.policy;
    }
  }
  std::string text;
  for (const auto& [prompt, policies] : policies_of) {
    text += fmt::format("{}{} ({})", text.empty() ? "" : "; ", prompt, policies);
  }
  return text.empty() ? "none" : text;
}

std::string caption_of(const std::vector<const Summary*>& rows) {
  const EvaluationFacts& facts = rows.front()->facts;
  return fmt::format(
      "Grader: {}. Split: {} ({}). Decoding: {}. Scoring: {}. Prompts: {}. "
      "Intervals: 95%, bootstrap by session.",
      facts.grader, facts.split, counts_text(*rows.front()), decoding_text(facts.decoding),
      scoring_text(facts.scoring), prompts_text(rows));
}

// "base 5, GRPO 2": the policies of which this many rows are counted; empty for none.
std::string count_by_policy(const std::vector<const Summary*>& rows, size_t RowCounts::* count) {
  std::string text;
  for (const Summary* row : rows) {
    if (row->counts.*count == 0) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", row->facts.policy, row->counts.*count);
  }
  return text;
}

std::vector<std::string> notes_on(const std::vector<const Summary*>& rows) {
  std::vector<std::string> notes;
  const bool has_expert = std::any_of(rows.begin(), rows.end(), [](const Summary* row) {
    return row->facts.role == PolicyRole::kExpert;
  });
  if (has_expert && rows.front()->facts.grader.starts_with("truth")) {
    notes.emplace_back(
        "The expert's decisions are right by construction: they are the labels. Its questions are "
        "graded against the known truth.");
  } else if (has_expert) {
    notes.emplace_back(
        "The expert's decisions are right by construction, and its questions are graded against "
        "its own future: a ceiling for the grader, not a competitor.");
  }
  std::string own;  // those who learned from this very grader
  for (const Summary* row : rows) {
    const std::string& by = row->facts.trained_by;
    if (by.empty() || !row->facts.grader.starts_with(by)) continue;
    own += (own.empty() ? "" : ", ") + row->facts.policy;
  }
  if (!own.empty()) {
    notes.push_back("This grader rewarded the training of " + own +
                    ": what was learned is shown by one that did not.");
  }
  const auto add_counts = [&](const std::string& what, size_t RowCounts::* count) {
    const std::string counts = count_by_policy(rows, count);
    if (!counts.empty()) notes.push_back(what + ": " + counts + ".");
  };
  add_counts("Replies graded 0 because the grader could not tell what they ask for",
             &RowCounts::unrecognised);
  add_counts("Replies to a context without its oldest turns, more than the policy holds",
             &RowCounts::cut_contexts);
  return notes;
}

std::string text_block(const TableGroup& group, std::span<const Metric> columns, bool unscored) {
  std::string out = fmt::format("{:<{}}", "", kNameWidth);
  for (const Metric metric : columns) out += fmt::format("{:>11}", metric_info(metric).column);
  if (unscored) out += fmt::format("{:>11}", "Unscored");
  out += '\n';
  for (const Summary* row : group.rows) {
    out += fmt::format("{:<{}}", shown(row->facts.policy, kNameWidth), kNameWidth);
    std::string intervals(kNameWidth, ' ');
    for (const Metric metric : columns) {
      const char* mark = group.is_best(*row, metric) ? "*" : " ";
      out += fmt::format("{:>10}{}", value_text(estimate_of(*row, metric)), mark);
      intervals += fmt::format("{:>11}", interval_text(estimate_of(*row, metric)) + " ");
    }
    if (unscored) out += fmt::format("{:>10}", row->counts.unscored);
    out += '\n' + intervals.substr(0, intervals.find_last_not_of(' ') + 1) + '\n';
  }
  return out;
}

std::string markdown_block(const TableGroup& group, std::span<const Metric> columns,
                           bool unscored) {
  std::string head = "| policy |", rule = "|---|";
  for (const Metric metric : columns) {
    head += fmt::format(" {} |", metric_info(metric).label);
    rule += "---:|";
  }
  if (unscored) head += " Unscored |", rule += "---:|";
  std::string out = head + '\n' + rule + '\n';
  for (const Summary* row : group.rows) {
    out += "| " + markdown_escape(shown(row->facts.policy)) + " |";
    for (const Metric metric : columns) {
      const auto& estimate = estimate_of(*row, metric);
      const std::string bold = group.is_best(*row, metric) ? "**" : "";
      out += " " + bold + value_text(estimate) + bold;
      out += estimate ? " [" + interval_text(estimate) + "] |" : " |";
    }
    if (unscored) out += fmt::format(" {} |", row->counts.unscored);
    out += '\n';
  }
  return out;
}

}  // namespace

Summary summarise(const Evaluation& evaluation, const BootstrapOptions& options) {
  return {evaluation.facts, count_rows(evaluation.rows), measure(evaluation.rows, options)};
}

std::span<const Metric> headline_metrics() { return kHeadline; }
std::span<const Metric> detail_metrics() { return kDetail; }

bool TableGroup::is_best(const Summary& row, Metric metric) const {
  const Better better = metric_info(metric).better;
  const auto& own = estimate_of(row, metric);
  if (better == Better::kNeither || row.facts.role != PolicyRole::kModel || !own) return false;
  bool worse_one = false;
  for (const Summary* other : rows) {
    const auto& theirs = estimate_of(*other, metric);
    if (other->facts.role != PolicyRole::kModel || !theirs) continue;
    if (value_text(theirs) == value_text(own)) continue;
    if ((theirs->value > own->value) == (better == Better::kHigher)) return false;
    worse_one = true;
  }
  return worse_one;
}

std::vector<TableGroup> group_summaries(std::span<const Summary> summaries) {
  std::vector<TableGroup> groups;
  std::vector<std::string> keys;
  for (const Summary& summary : summaries) {
    const std::string key = group_key(summary.facts);
    const size_t at = static_cast<size_t>(std::find(keys.begin(), keys.end(), key) - keys.begin());
    if (at == keys.size()) {
      keys.push_back(key);
      groups.emplace_back();
    }
    groups[at].rows.push_back(&summary);
  }
  for (TableGroup& group : groups) {
    group.caption = caption_of(group.rows);
    group.notes = notes_on(group.rows);
  }
  return groups;
}

std::string value_text(const std::optional<Estimate>& estimate) {
  return estimate ? fmt::format("{:.3f}", estimate->value) : "-";
}

std::string interval_text(const std::optional<Estimate>& estimate) {
  return estimate ? fmt::format("{:.2f}-{:.2f}", estimate->low, estimate->high) : "";
}

std::string tables_to_text(std::span<const Summary> summaries) {
  std::string out;
  for (const TableGroup& group : group_summaries(summaries)) {
    if (!out.empty()) out += '\n';
    out += text_block(group, kHeadline, false) + '\n' + text_block(group, kDetail, true) + '\n';
    out += wrapped(shown(group.caption, 4000));
    for (const auto& note : group.notes) out += wrapped(shown(note, 4000));
  }
  return out;
}

std::string tables_to_markdown(std::span<const Summary> summaries) {
  std::string out;
  for (const TableGroup& group : group_summaries(summaries)) {
    if (!out.empty()) out += '\n';
    out += markdown_block(group, kHeadline, false) + '\n' + markdown_block(group, kDetail, true);
    out += '\n' + markdown_escape(shown(group.caption, 4000)) + '\n';
    for (const auto& note : group.notes) out += '\n' + markdown_escape(shown(note, 4000)) + '\n';
  }
  return out;
}

Json tables_to_json(std::span<const Summary> summaries) {
  Json out = Json::array();
  for (const Summary& row : summaries) {
    Json metrics = Json::object();
    for (const MetricInfo& info : metric_infos()) {
      const auto& estimate = estimate_of(row, info.metric);
      metrics[info.key] = nullptr;
      if (!estimate) continue;
      metrics[info.key] = {{"value", estimate->value},
                           {"low", estimate->low},
                           {"high", estimate->high},
                           {"count", estimate->count}};
    }
    const RowCounts& counts = row.counts;
    out.push_back({{"evaluation", to_json(row.facts)},
                   {"counts",
                    {{"sessions", counts.sessions},
                     {"replies", counts.replies},
                     {"continue", counts.continue_rows},
                     {"stop", counts.stop_rows},
                     {"inform", counts.inform_rows},
                     {"empty_target", counts.empty_rows},
                     {"unscored", counts.unscored},
                     {"unrecognised", counts.unrecognised},
                     {"cut_contexts", counts.cut_contexts}}},
                   {"metrics", metrics}});
  }
  return out;
}

std::string comparison_text(const PairedDifference& comparison, const std::string& a,
                            const std::string& b) {
  return fmt::format(
      "{}: {} {:.3f}, {} {:.3f}, difference {:+.3f} [{:+.3f}, {:+.3f}], above 0 in {:.1f}% of "
      "resamples",
      metric_info(comparison.metric).label, shown(a), comparison.a, shown(b), comparison.b,
      comparison.difference, comparison.low, comparison.high, 100 * comparison.share_above_zero);
}

Json to_json(const PairedDifference& comparison) {
  return {{"metric", metric_info(comparison.metric).key},
          {"a", comparison.a},
          {"b", comparison.b},
          {"difference", comparison.difference},
          {"low", comparison.low},
          {"high", comparison.high},
          {"share_above_zero", comparison.share_above_zero}};
}

}  // namespace l2a
