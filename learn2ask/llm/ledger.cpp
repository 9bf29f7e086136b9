#include "llm/ledger.h"

#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/jsonl.h"

namespace l2a {
namespace {

int64_t whole_number(const Json& row, const char* key) {
  const auto found = row.find(key);
  if (found == row.end() || !found->is_number_integer()) {
    fail_input("'" + std::string(key) + "': expected a whole number");
  }
  return found->get<int64_t>();
}

int64_t tokens_of(const Json& row, const char* key) {
  return row.contains(key) && row[key].is_null() ? 0 : whole_number(row, key);
}

CallEnd end_of(const Json& row) {
  CallEnd end{.outcome = get_string(row, "outcome").value_or_throw(),
              .seconds = get_number(row, "seconds").value_or_throw(),
              .cost = get_number(row, "cost").value_or_throw()};
  end.usage = TokenUsage{tokens_of(row, "prompt_tokens"), tokens_of(row, "completion_tokens")};
  return end;
}

}  // namespace

std::string to_text(const LedgerTotals& totals) {
  std::string more;
  if (totals.lost > 0) more += fmt::format("{} of them lost", totals.lost);
  if (totals.cached > 0) {
    more += fmt::format("{}{} more from the cache", more.empty() ? "" : ", ", totals.cached);
  }
  return fmt::format("{} calls{}, {} + {} tokens, cost {:.4f}", totals.sent,
                     more.empty() ? "" : " (" + more + ")", totals.prompt_tokens,
                     totals.completion_tokens, totals.cost);
}

Ledger::Ledger(const std::filesystem::path& path, ReplyCache* cache) {
  lock_.emplace(path);
  journal_.emplace(path, R"({"event":)");
  read_back(path, cache);
}

void Ledger::read_back(const std::filesystem::path& path, ReplyCache* cache) {
  std::map<std::pair<std::string, int64_t>, double> in_flight;  // what was reserved
  for_each_row(path, "ledger", [&](JsonLine&& line) {
    const Json& row = line.value;
    const std::pair call{get_string(row, "call").value_or_throw(), whole_number(row, "try")};
    const std::string event = get_string(row, "event").value_or_throw();
    if (event != "sent" && event != "done") fail_input("'event': expected sent or done");
    if (event == "sent") {
      ++totals_.sent;
      in_flight[call] = get_number(row, "reserved").value_or_throw();
    } else {
      count(end_of(row));
      in_flight.erase(call);
    }
  });
  for (const auto& [call, reserved] : in_flight) {
    CallEnd end{.outcome = "lost", .cost = reserved};
    if (const auto reply = cache != nullptr ? cache->find(call.first) : std::nullopt) {
      end.outcome = "reply";
      end.usage = reply->usage;
    }
    done(call.first, call.second, end);
  }
}

void Ledger::count(const CallEnd& end) {
  totals_.replies += end.outcome == "reply" ? 1 : 0;
  totals_.lost += end.outcome == "lost" ? 1 : 0;
  if (end.usage) {
    totals_.prompt_tokens += end.usage->prompt;
    totals_.completion_tokens += end.usage->completion;
  }
  totals_.seconds += end.seconds;
  totals_.cost += end.cost;
}

void Ledger::sent(const std::string& call, int64_t attempt, double reserved) {
  ++totals_.sent;
  if (!journal_) return;
  journal_->append(dump_json({{"event", "sent"},
                              {"call", call},
                              {"try", attempt},
                              {"reserved", reserved},
                              {"time", utc_timestamp()}}));
}

void Ledger::done(const std::string& call, int64_t attempt, const CallEnd& end) {
  count(end);
  if (!journal_) return;
  Json row = {{"event", "done"}, {"call", call}, {"try", attempt}, {"outcome", end.outcome}};
  row["status"] = end.status ? Json(*end.status) : Json(nullptr);
  row["prompt_tokens"] = end.usage ? Json(end.usage->prompt) : Json(nullptr);
  row["completion_tokens"] = end.usage ? Json(end.usage->completion) : Json(nullptr);
  row["seconds"] = end.seconds;
  row["cost"] = end.cost;
  journal_->append(dump_json(row));
}

}  // namespace l2a
