#include "calibrate/search_journal.h"

#include "base/jsonl.h"

namespace l2a {
namespace {

constexpr const char* kFormat = "prompt_search";

size_t count_in(const Json& object, const char* key) {
  constexpr size_t kMost = 1'000'000'000;  // items and rounds
  return get_index(object, key, kMost).value_or_throw();
}

double loss_in(const Json& outcome) {
  const double loss = get_number(outcome, "loss").value_or_throw();
  if (!(loss >= 0 && loss <= 1)) fail_input("'loss': expected a number from 0 to 1");
  return loss;
}

CallSpending spending_in(const Json& row) {
  const Json& spent = *get_object(row, "spent").value_or_throw();
  const double cost = get_number(spent, "cost").value_or_throw();
  if (!(cost >= 0)) fail_input("'cost': expected a number of at least 0");
  return {.calls = static_cast<int64_t>(count_in(spent, "calls")), .cost = cost};
}

}  // namespace

SearchJournal::SearchJournal(const std::filesystem::path& path, const std::string& decisive,
                             Spent spent)
    : journal_(
          path,
          {.format = kFormat, .command = "learn2ask calibrate run", .config_sha256 = decisive}),
      spent_(std::move(spent)) {
  const auto header = for_each_row(path, kFormat, [](JsonLine&&) {});
  if (!header || header->config_sha256 != decisive) {
    fail_input(path.string() +
               ": of a search with other settings, items or labels: give another --out");
  }
  for_each_row(path, kFormat, [&](JsonLine&& line) { read(line.value); });
}

void SearchJournal::read(const Json& row) {
  if (row.contains("prompts")) {
    charge(writing_, spending_in(row));
    auto& rewriting = rewritings_[{get_string(row, "of").value_or_throw(), count_in(row, "round")}];
    for (const Json& prompt : *get_list(row, "prompts").value_or_throw()) {
      if (!prompt.is_string()) fail_input("'prompts': expected texts");
      rewriting.prompts.push_back(prompt.get<std::string>());
    }
    for (const Json& refused : *get_list(row, "refused").value_or_throw()) {
      rewriting.refused.push_back({get_string(refused, "prompt").value_or_throw(),
                                   get_string(refused, "reason").value_or_throw()});
    }
    return;
  }
  const std::string prompt = get_string(row, "prompt").value_or_throw();
  charge(trials_[prompt], spending_in(row));
  for (const Json& outcome : *get_list(row, "outcomes").value_or_throw()) {
    outcomes_[{prompt, count_in(outcome, "item")}] = {loss_in(outcome),
                                                      get_string(outcome, "said").value_or_throw()};
  }
}

const Outcome* SearchJournal::outcome(const std::string& prompt, size_t item) const {
  const auto found = outcomes_.find({sha256_hex(prompt), item});
  return found == outcomes_.end() ? nullptr : &found->second;
}

void SearchJournal::keep(const std::string& prompt, std::span<const size_t> items,
                         std::span<const Outcome> outcomes) {
  const std::string hash = sha256_hex(prompt);
  Json list = Json::array();
  for (size_t i = 0; i < items.size(); ++i) {
    list.push_back({{"item", items[i]}, {"loss", outcomes[i].loss}, {"said", outcomes[i].said}});
    outcomes_[{hash, items[i]}] = outcomes[i];
  }
  const Json spent = charge_now(trials_[hash]);
  journal_.append(dump_json({{"prompt", hash}, {"outcomes", std::move(list)}, {"spent", spent}}));
}

const Rewriting* SearchJournal::rewriting(const std::string& of, size_t round) const {
  const auto found = rewritings_.find({sha256_hex(of), round});
  return found == rewritings_.end() ? nullptr : &found->second;
}

void SearchJournal::keep(const std::string& of, size_t round, const Rewriting& rewriting) {
  const std::string hash = sha256_hex(of);
  rewritings_[{hash, round}] = rewriting;
  Json refused = Json::array();
  for (const auto& [prompt, reason] : rewriting.refused) {
    refused.push_back({{"prompt", prompt}, {"reason", reason}});
  }
  const Json spent = charge_now(writing_);
  journal_.append(dump_json({{"round", round},
                             {"of", hash},
                             {"prompts", rewriting.prompts},
                             {"refused", std::move(refused)},
                             {"spent", spent}}));
}

void SearchJournal::charge(CallSpending& sum, const CallSpending& now) {
  const bool begun_anew = now.calls < last_.calls || now.cost < last_.cost;  // the ledger
  if (begun_anew) last_ = {};
  sum.calls += now.calls - last_.calls;
  sum.cost += now.cost - last_.cost;
  last_ = now;
}

Json SearchJournal::charge_now(CallSpending& sum) {
  const CallSpending now = spent_();
  charge(sum, now);
  return {{"calls", now.calls}, {"cost", now.cost}};
}

CallSpending SearchJournal::spent_on(const std::string& prompt) const {
  const auto found = trials_.find(sha256_hex(prompt));
  return found == trials_.end() ? CallSpending() : found->second;
}

std::vector<Outcome> RecordedTask::run(const std::string& prompt, std::span<const size_t> items) {
  std::vector<size_t> missing;
  for (const size_t item : items) {
    if (journal_.outcome(prompt, item) == nullptr) missing.push_back(item);
  }
  if (!missing.empty()) {
    const auto came = task_.run(prompt, missing);
    check(came.size() == missing.size(), "PromptTask: an outcome for each item");
    journal_.keep(prompt, missing, came);
  }
  std::vector<Outcome> outcomes;
  for (const size_t item : items) outcomes.push_back(*journal_.outcome(prompt, item));
  on_outcomes_(items.size());
  return outcomes;
}

Rewriting RecordedWriter::rewrite(const std::string& prompt, std::span<const Mistake> mistakes,
                                  size_t count, size_t round) {
  if (const auto* kept = journal_.rewriting(prompt, round)) return *kept;
  auto rewriting = writer_.rewrite(prompt, mistakes, count, round);
  journal_.keep(prompt, round, rewriting);
  return rewriting;
}

}  // namespace l2a
