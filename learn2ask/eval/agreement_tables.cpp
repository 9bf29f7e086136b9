#include "eval/agreement_tables.h"

#include <fmt/format.h>

#include "base/utf8.h"
#include "eval/tables.h"
#include "eval/text_layout.h"

namespace l2a {
namespace {

constexpr size_t kNameWidth = 20;

std::string markdown_row(const std::vector<std::string>& cells) {
  std::string row = "|";
  for (const std::string& cell : cells) row += " " + cell + " |";
  return row + "\n";
}

std::string cell(const std::optional<Estimate>& estimate) {
  return estimate ? value_text(estimate) + " [" + interval_text(estimate) + "]" : "-";
}

std::string table_legend(const Agreement& agreement) {
  return fmt::format("Replies by the verdicts of {} (lines) and {} (columns):", shown(agreement.a),
                     shown(agreement.b));
}

std::string text_of(const AgreementGroup& group) {
  std::string out = wrapped(group.caption);
  out += fmt::format("{:<{}}{:>9}{:>20}{:>20}{:>20}\n", "", kNameWidth, "Scored", "Equal", "Kappa",
                     "Linear kappa");
  for (const Agreement* row : group.rows) {
    out += fmt::format("{:<{}}{:>9}{:>20}{:>20}{:>20}\n", shown(policies_text(*row), kNameWidth),
                       kNameWidth, scored_in(row->table), cell(row->rate), cell(row->kappa),
                       cell(row->linear));
  }
  out += wrapped(table_legend(*group.rows.front()));
  for (const Agreement* row : group.rows) {
    out += fmt::format("{:<{}}", shown(policies_text(*row), kNameWidth), kNameWidth);
    for (const char* verdict : kVerdictClasses) out += fmt::format("{:>9}", verdict);
    out += '\n';
    for (size_t i = 0; i < kVerdictClasses.size(); ++i) {
      out += fmt::format("{:>{}}", kVerdictClasses[i], kNameWidth);
      for (const size_t count : row->table[i]) out += fmt::format("{:>9}", count);
      out += '\n';
    }
  }
  return out;
}

std::string markdown_of(const AgreementGroup& group) {
  std::string out = markdown_escape(group.caption) + "\n\n";
  out += "| policy | scored | equal | kappa | linear kappa |\n|---|---:|---:|---:|---:|\n";
  for (const Agreement* row : group.rows) {
    out += markdown_row({markdown_escape(shown(policies_text(*row))),
                         std::to_string(scored_in(row->table)), cell(row->rate), cell(row->kappa),
                         cell(row->linear)});
  }
  out += "\n" + markdown_escape(table_legend(*group.rows.front())) + "\n\n| policy | verdict |";
  for (const char* verdict : kVerdictClasses) out += fmt::format(" {} |", verdict);
  out += "\n|---|---|---:|---:|---:|---:|\n";
  for (const Agreement* row : group.rows) {
    for (size_t i = 0; i < kVerdictClasses.size(); ++i) {
      std::vector<std::string> cells = {markdown_escape(shown(policies_text(*row))),
                                        kVerdictClasses[i]};
      for (const size_t count : row->table[i]) cells.push_back(std::to_string(count));
      out += markdown_row(cells);
    }
  }
  return out;
}

}  // namespace

std::string policies_text(const Agreement& agreement) {
  return agreement.policies.size() == 1 ? agreement.policies.front() : "all models";
}

std::vector<AgreementGroup> group_agreements(std::span<const Agreement> agreements) {
  std::vector<AgreementGroup> groups;
  for (const Agreement& agreement : agreements) {
    const std::string caption = fmt::format(
        "Agreement of the graders {} and {}, split {}: replies that "
        "ask where something is left to ask. Kappa over those that both scored; "
        "intervals: 95%, bootstrap by session.",
        shown(agreement.a), shown(agreement.b), shown(agreement.split));
    if (groups.empty() || groups.back().caption != caption) groups.push_back({caption, {}});
    groups.back().rows.push_back(&agreement);
  }
  return groups;
}

std::string agreements_to_text(std::span<const Agreement> agreements) {
  std::string out;
  for (const AgreementGroup& group : group_agreements(agreements)) out += "\n" + text_of(group);
  return out;
}

std::string agreements_to_markdown(std::span<const Agreement> agreements) {
  std::string out;
  for (const AgreementGroup& group : group_agreements(agreements)) out += "\n" + markdown_of(group);
  return out;
}

Json agreements_to_json(std::span<const Agreement> agreements) {
  Json out = Json::array();
  for (const Agreement& agreement : agreements) {
    Json table = Json::array();
    for (const auto& row : agreement.table) table.push_back(row);
    out.push_back({{"a", agreement.a},
                   {"b", agreement.b},
                   {"split", agreement.split},
                   {"policies", agreement.policies},
                   {"verdicts", kVerdictClasses},
                   {"rows", table},
                   {"equal", to_json(agreement.rate)},
                   {"kappa", to_json(agreement.kappa)},
                   {"linear_kappa", to_json(agreement.linear)}});
  }
  return out;
}

}  // namespace l2a
