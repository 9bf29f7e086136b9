#include "eval/report_sections.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "eval/agreement_tables.h"
#include "eval/html.h"

namespace l2a {
namespace {

const std::optional<Estimate>& estimate_of(const Summary& row, Metric metric) {
  return row.metrics[static_cast<size_t>(metric)];
}

std::string percent(double share) { return fmt::format("{:.0f}%", 100 * share); }

// ---- hero: headline and cards ------------------------------------------------------------

// "the model rightly asks or stops 93% of the time (before: 47%)"
std::string change_text(const Summary& before, const Summary& after, Metric metric,
                        const char* words) {
  const auto& from = estimate_of(before, metric);
  const auto& to = estimate_of(after, metric);
  if (!from || !to) return "";
  return fmt::format(
      "{} <strong>{}</strong> of the time <span class=\"before\">(before: {})</span>", words,
      percent(to->value), percent(from->value));
}

std::string headline(std::span<const Summary* const> journey) {
  if (journey.size() < 2) return "";  // nothing was trained
  const Summary &before = *journey.front(), &after = *journey.back();
  const std::string decides =
      change_text(before, after, Metric::kBalancedAccuracy, "the model rightly asks or stops");
  const std::string asks = change_text(before, after, Metric::kWaGh,
                                       "where something is left to ask, it asks for just that");
  if (decides.empty() && asks.empty()) return "";
  const char* between = decides.empty() || asks.empty() ? "" : ", and ";
  return fmt::format("<p class=\"headline\">After training, {}{}{}.</p>\n", decides, between, asks);
}

struct Card {
  Metric metric;
  const char* question;  // in plain words
  bool share;            // shown as percent; else a number up to the highest reward
};

constexpr Card kCards[] = {
    {Metric::kWaGh, "Asks for what is still open", true},
    {Metric::kBalancedAccuracy, "Asks or stops when it should", true},
    {Metric::kTr, "Stops when all is known", true},
    {Metric::kReward, "Reward of a reply", false},
};

// One bar with its value; the interval is drawn as a thin line over its end.
std::string bar(const Summary& row, const Card& card, bool last) {
  const auto& estimate = estimate_of(row, card.metric);
  const double scale = card.share ? 1 : max_reward(row.facts.scoring.fusion);
  const std::string name = html_escape(row.facts.policy);
  if (!estimate) return fmt::format("<div class=\"bar\"><span>{}</span></div>\n", name);
  const auto place = [&](double value) { return 100 * std::clamp(value / scale, 0.0, 1.0); };
  return fmt::format(
      "<div class=\"bar{}\"><span class=\"name\">{}</span><span class=\"track\">"
      "<span class=\"fill\" style=\"width:{:.1f}%\"></span>"
      "<span class=\"whisker\" style=\"left:{:.1f}%;width:{:.1f}%\"></span></span>"
      "<span class=\"value\">{}</span></div>\n",
      last ? " last" : "", name, place(estimate->value), place(estimate->low),
      place(estimate->high) - place(estimate->low),
      card.share ? percent(estimate->value) : fmt::format("{:.2f}", estimate->value));
}

std::string card_element(std::span<const Summary* const> journey, const Card& card) {
  const Summary& after = *journey.back();
  const auto& estimate = estimate_of(after, card.metric);
  if (!estimate) return "";
  const std::string big = card.share
                              ? percent(estimate->value)
                              : fmt::format("{:.2f}<small> of {:.0f}</small>", estimate->value,
                                            max_reward(after.facts.scoring.fusion));
  std::string out = fmt::format(
      "<article class=\"card\"><h2>{}</h2><p class=\"metric\">{}</p><p class=\"big\">{}</p>\n"
      "<div class=\"bars\">\n",
      card.question, metric_info(card.metric).label, big);
  for (const Summary* row : journey) out += bar(*row, card, row == journey.back());
  return out + "</div></article>\n";
}

// ---- results -----------------------------------------------------------------------------

std::string table_cell(const TableGroup& group, const Summary& row, Metric metric) {
  const auto& estimate = estimate_of(row, metric);
  const bool best = group.is_best(row, metric);
  return fmt::format("<td{}><span>{}</span><small>{}</small></td>", best ? " class=\"best\"" : "",
                     estimate ? value_text(estimate) : "&ndash;", interval_text(estimate));
}

// The metrics that some policy of the group has.
std::vector<Metric> defined(const TableGroup& group, std::span<const Metric> metrics) {
  std::vector<Metric> kept;
  std::copy_if(metrics.begin(), metrics.end(), std::back_inserter(kept), [&](Metric metric) {
    return std::any_of(group.rows.begin(), group.rows.end(),
                       [&](const Summary* row) { return estimate_of(*row, metric).has_value(); });
  });
  return kept;
}

std::string table_element(const TableGroup& group, std::span<const Metric> metrics, bool unscored) {
  const std::vector<Metric> columns = defined(group, metrics);
  std::string out =
      "<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr><th scope=\"col\">"
      "Policy</th>";
  for (const Metric metric : columns) {
    const MetricInfo& info = metric_info(metric);
    out += fmt::format("<th scope=\"col\" title=\"{}\">{}</th>", html_escape(info.meaning),
                       info.label);
  }
  if (unscored) out += "<th scope=\"col\" title=\"replies whose grader failed\">Unscored</th>";
  out += "</tr></thead>\n<tbody>\n";
  for (const Summary* row : group.rows) {
    out += fmt::format("<tr class=\"{}\"><th scope=\"row\">{}</th>",
                       policy_role_name(row->facts.role), html_escape(row->facts.policy));
    for (const Metric metric : columns) out += table_cell(group, *row, metric);
    if (unscored) out += fmt::format("<td><span>{}</span></td>", row->counts.unscored);
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string estimate_cell(const std::optional<Estimate>& estimate) {
  return fmt::format("<td><span>{}</span><small>{}</small></td>",
                     estimate ? value_text(estimate) : "&ndash;", interval_text(estimate));
}

std::string agreement_table(const AgreementGroup& group) {
  std::string out =
      "<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr><th scope=\"col\">Policy</th>"
      "<th scope=\"col\">Scored by both</th><th scope=\"col\">Equal</th>"
      "<th scope=\"col\">Kappa</th><th scope=\"col\">Linear kappa</th></tr></thead>\n<tbody>\n";
  for (const Agreement* row : group.rows) {
    out += fmt::format("<tr><th scope=\"row\">{}</th><td><span>{}</span></td>{}{}{}</tr>\n",
                       html_escape(policies_text(*row)), scored_in(row->table),
                       estimate_cell(row->rate), estimate_cell(row->kappa),
                       estimate_cell(row->linear));
  }
  return out + "</tbody></table></div>\n";
}

std::string comparison_element(const ReportComparison& comparison) {
  const PairedDifference& d = comparison.difference;
  const bool clear = d.low > 0 || d.high < 0;
  return fmt::format(
      "<li class=\"{}\"><span class=\"pair\">{} against {}</span><span>{}</span>"
      "<span class=\"delta\">{:+.3f}</span><span class=\"range\">[{:+.3f}, {:+.3f}]</span>"
      "<span class=\"range\">above 0 in {:.1f}% of resamples</span></li>\n",
      clear ? "clear" : "open", html_escape(comparison.a), html_escape(comparison.b),
      metric_info(d.metric).label, d.difference, d.low, d.high, 100 * d.share_above_zero);
}

// ---- dialogues ---------------------------------------------------------------------------

constexpr size_t kTurnsShown = 6;  // the last ones; those before fold away

std::string bubble(const Turn& turn) {
  const bool user = turn.role == Role::kUser;
  return fmt::format("<p class=\"bubble {}\"><b>{}</b>{}</p>\n", user ? "user" : "expert",
                     user ? "User" : "Expert", html_escape(turn.text));
}

std::string transcript(const std::vector<Turn>& context) {
  const size_t folded = context.size() > kTurnsShown ? context.size() - kTurnsShown : 0;
  std::string out = "<div class=\"transcript\">\n";
  if (folded > 0) {
    out += fmt::format("<details><summary>{} earlier {}</summary>\n", folded,
                       folded == 1 ? "turn" : "turns");
    for (size_t i = 0; i < folded; ++i) out += bubble(context[i]);
    out += "</details>\n";
  }
  for (size_t i = folded; i < context.size(); ++i) out += bubble(context[i]);
  return out + "</div>\n";
}

std::string open_items(const DialogueSample& dialogue) {
  std::string out = "<h4>Still open</h4><ul class=\"chips\">\n";
  if (dialogue.truth == Decision::kStop) out += "<li class=\"done\">Nothing: time to stop</li>\n";
  for (const Item& item : dialogue.open) {
    out += fmt::format("<li><b>{}</b> <span>{}</span></li>\n", html_escape(item.question),
                       html_escape(item.fact));
  }
  return out + "</ul>\n";
}

std::string badge(const char* kind, const std::string& text) {
  return fmt::format("<span class=\"badge {}\">{}</span>", kind, text);
}

std::string badges(const ScoredRow& row) {
  if (!row.action) return badge("bad", "malformed");
  if (row.action->decision != row.truth) {
    return badge("bad", row.truth == Decision::kStop ? "should stop" : "stops too early");
  }
  if (!row.parts) return badge("so-so", "unscored");
  const double micro = row.parts->micro;
  std::string out;
  if (row.truth == Decision::kStop) {
    out = badge("good", "rightly stops");
  } else {
    out = badge(micro == 1  ? "good"
                : micro > 0 ? "so-so"
                            : "bad",
                micro == 1  ? "asks for an open item"
                : micro > 0 ? "in the right direction"
                            : "not what is open");
  }
  if (row.parts->format < 1) {  // a model may see more in a reply than the number of questions
    out += badge("so-so", row.questions > 1 ? fmt::format("{} questions", row.questions)
                                            : fmt::format("format {:.3g}", row.parts->format));
  }
  return out + badge("plain", fmt::format("reward {:.3g}", *row.reward));
}

std::string answer_element(const PolicyAnswer& answer) {
  const bool stops = answer.row.action && answer.row.action->decision == Decision::kStop;
  const std::string said =
      stops ? "<i>stops</i>"
            : html_escape(answer.row.action ? answer.row.action->question : answer.row.reply.text);
  return fmt::format(
      "<div class=\"answer\" title=\"{}\"><b>{}</b><p class=\"bubble policy\">{}</p>"
      "<p class=\"badges\">{}</p></div>\n",
      html_escape(answer.row.reason), html_escape(answer.policy), said, badges(answer.row));
}

std::string dialogue_element(const DialogueSample& dialogue) {
  std::string out = fmt::format("<article class=\"dialogue\"><h3>{}</h3>\n<div class=\"sides\">\n",
                                html_escape(dialogue.context_id));
  out += transcript(dialogue.context) + "<div class=\"answers\">\n" + open_items(dialogue);
  out += "<h4>What each would say</h4>\n";
  for (const PolicyAnswer& answer : dialogue.answers) out += answer_element(answer);
  out += fmt::format(
      "<div class=\"answer real\"><b>the expert said</b>"
      "<p class=\"bubble expert\">{}</p></div>\n",
      html_escape(dialogue.expert));
  return out + "</div></div></article>\n";
}

// "2.10 at the start, 3.41 at the end"
std::string ends_text(const Series& series) {
  std::optional<double> first, last;
  for (const auto& value : series.values) {
    if (!value) continue;
    if (!first) first = value;
    last = value;
  }
  if (!first) return "";
  return fmt::format("{}: {:.3g} &rarr; {:.3g}", html_escape(series.name), *first, *last);
}

std::string metric_definitions() {
  std::string out = "<details><summary>What the metrics mean</summary><dl class=\"facts\">\n";
  for (const MetricInfo& info : metric_infos()) {
    out += fmt::format("<dt>{}</dt><dd>{}{}</dd>\n", info.label, html_escape(info.meaning),
                       info.better == Better::kLower ? "; lower is better" : "");
  }
  return out + "</dl></details>\n";
}

}  // namespace

std::string hero_section(const std::string& title, std::span<const Summary* const> journey) {
  std::string out = "<header class=\"hero\">\n<p class=\"brand\">learn2ask</p>\n<h1>" +
                    html_escape(title) + "</h1>\n";
  if (journey.empty()) return out + "</header>\n";
  const Summary& after = *journey.back();
  out += headline(journey);
  out += fmt::format(
      "<p class=\"meta\">{} sessions of split {}, graded by "
      "{}. Thin lines are 95% intervals.</p>\n</header>\n",
      after.counts.sessions, html_escape(after.facts.split), html_escape(after.facts.grader));
  out += "<section class=\"cards\">\n";
  for (const Card& card : kCards) out += card_element(journey, card);
  return out + "</section>\n";
}

std::string results_section(std::span<const Summary> summaries,
                            std::span<const ReportComparison> comparisons) {
  std::string out = "<section>\n<h2>Results</h2>\n";
  for (const TableGroup& group : group_summaries(summaries)) {
    out += table_element(group, headline_metrics(), false);
    out += table_element(group, detail_metrics(), true);
    out += "<p class=\"caption\">" + html_escape(group.caption) + "</p>\n";
    for (const auto& note : group.notes) {
      out += "<p class=\"caption\">" + html_escape(note) + "</p>\n";
    }
  }
  if (!comparisons.empty()) {
    out += "<h3>Paired by session</h3>\n<ul class=\"comparisons\">\n";
    for (const ReportComparison& comparison : comparisons) out += comparison_element(comparison);
    out += "</ul>\n";
  }
  return out + metric_definitions() + "</section>\n";
}

std::string agreements_section(std::span<const Agreement> agreements) {
  if (agreements.empty()) return "";
  std::string out = "<section>\n<h2>Agreement of graders</h2>\n";
  for (const AgreementGroup& group : group_agreements(agreements)) {
    out += agreement_table(group);
    out += "<p class=\"caption\">" + html_escape(group.caption) + "</p>\n";
  }
  return out + "</section>\n";
}

std::string curves_section(std::span<const Curve> curves) {
  if (curves.empty()) return "";
  std::string out = "<section>\n<h2>Learning curves</h2>\n<div class=\"curves\">\n";
  for (const Curve& curve : curves) {
    out += "<figure class=\"curve\"><figcaption>" + html_escape(curve.title) + "</figcaption>";
    out += "<div class=\"plot\"></div><p class=\"caption\">";
    for (const Series& series : curve.series) out += "<span>" + ends_text(series) + "</span> ";
    out += "</p></figure>\n";
  }
  return out + "</div>\n</section>\n";
}

std::string dialogues_section(std::span<const DialogueSample> dialogues) {
  if (dialogues.empty()) return "";
  std::string out = "<section>\n<h2>Dialogues side by side</h2>\n";
  for (const DialogueSample& dialogue : dialogues) out += dialogue_element(dialogue);
  return out + "</section>\n";
}

std::string facts_section(const Report& report) {
  std::string out = "<section>\n<h2>How this was made</h2>\n<dl class=\"facts\">\n";
  for (const auto& [name, value] : report.facts) {
    out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", html_escape(name), html_escape(value));
  }
  out += "</dl>\n";
  if (!report.commands.empty()) {
    out += "<pre>";
    for (const std::string& command : report.commands) out += html_escape(command) + "\n";
    out += "</pre>\n";
  }
  if (!report.notes.empty()) {
    out += "<h3>What limits these numbers</h3>\n<ul class=\"notes\">\n";
    for (const std::string& note : report.notes) out += "<li>" + html_escape(note) + "</li>\n";
    out += "</ul>\n";
  }
  return out + "</section>\n";
}

}  // namespace l2a
