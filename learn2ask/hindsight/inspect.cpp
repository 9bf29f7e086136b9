#include "hindsight/inspect.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/interrupt.h"
#include "base/jsonl.h"
#include "base/utf8.h"
#include "hindsight/extract.h"

namespace l2a {
namespace {

constexpr size_t kExamples = 5;
constexpr size_t kBarWidth = 40;
constexpr size_t kLongestBar = 12;  // numbers of facts from here on share the last bar

double share(size_t part, size_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

// The expert asks after the stop: in the turns behind it or in the source's tail.
bool asks_after_stop(const LabelledSession& session, const QuestionForms& forms) {
  if (session.samples.empty() || session.samples.back().kind.value != TurnKind::kStop) return false;
  for (size_t t = session.samples.back().turn + 1; t < session.turns.size(); ++t) {
    const Turn& turn = session.turns[t];
    if (turn.role == Role::kAssistant && !forms.questions(turn.text).empty()) return true;
  }
  const auto tail = session.extra.find("tail");
  if (tail == session.extra.end() || !tail->is_array()) return false;
  return std::any_of(tail->begin(), tail->end(), [&](const Json& message) {
    const auto role = get_string(message, "role"), text = get_string(message, "content");
    return role && text && *role == "assistant" && !forms.questions(*text).empty();
  });
}

std::string histogram(const std::map<size_t, size_t>& counts) {
  std::vector<size_t> bars(kLongestBar + 1);
  for (const auto& [facts, count] : counts) bars[std::min(facts, kLongestBar)] += count;
  while (bars.size() > 1 && bars.back() == 0) bars.pop_back();
  const size_t highest = std::max<size_t>(1, *std::max_element(bars.begin(), bars.end()));
  std::string out;
  for (size_t facts = 0; facts < bars.size(); ++facts) {
    // At least one mark for a bar that is not empty.
    const size_t width = (bars[facts] * kBarWidth + highest - 1) / highest;
    out += fmt::format("  {:>2}{} {:>9}  {}\n", facts, facts == kLongestBar ? "+" : " ",
                       bars[facts], std::string(width, '#'));
  }
  return out;
}

std::string decision_text(const Sample& sample) {
  if (!sample.decision) return "censored: the end is not in the log";
  return fmt::format("{} ({})", decision_name(sample.decision->value),
                     shown(sample.decision->rule));
}

std::string sample_to_text(const Sample& sample, size_t max_bytes) {
  std::string out = fmt::format("          = {} ({}), {}", turn_kind_name(sample.kind.value),
                                shown(sample.kind.rule), decision_text(sample));
  if (!sample.wanted) return out + ", unlabelled\n";
  out += fmt::format(", {} still to ask\n", sample.wanted->size());
  for (const Item& item : *sample.wanted) {
    out += fmt::format("            - {}  [turn {}: {}]\n", shown(item.fact, max_bytes),
                       item.question_turn, shown(item.question, max_bytes));
  }
  return out;
}

}  // namespace

InspectedFile for_each_inspected(const std::filesystem::path& path, const LabelOptions& options,
                                 const QuestionForms& forms,
                                 const std::function<void(const LabelledSession&)>& visit) {
  RuleExtractor extractor(forms);
  Labeller labeller(options, forms, extractor);
  JsonlReader reader(path);
  InspectedFile file;
  bool first = true;
  while (auto next = reader.next()) {
    throw_if_interrupted();
    const JsonLine line = std::move(*next).value_or_throw();
    const std::string where = reader.name() + ":" + std::to_string(line.number);
    if (std::exchange(first, false)) {
      const auto format = get_string_or(line.value, "learn2ask", "");
      const bool labels = format && *format == "labels";
      if (read_header(line.value, labels ? "labels" : "sessions", where)) continue;
    }
    const bool labelled = line.value.contains("samples") && line.value.contains("censored");
    file.labelled = file.labelled || labelled;
    if (labelled) {
      const auto session = labelled_session_from_json(line.value);
      if (!session) fail_input(where + ": " + session.error().message);
      visit(*session);
      continue;
    }
    const auto session = session_from_json(line.value);
    if (!session) fail_input(where + ": " + session.error().message);
    if (const auto made = labeller.label(*session).session) {
      visit(*made);
    } else {
      ++file.passed_over;
    }
  }
  return file;
}

void Inspector::Examples::add(const std::string& id) {
  ++count;
  if (first.size() < kExamples) first.push_back(shown(id));
}

std::string Inspector::Examples::line(std::string_view what) const {
  std::string out = fmt::format("  {:<42}{:>9}", what, count);
  if (count > 0) out += fmt::format("  e.g. {}", fmt::join(first, ", "));
  return out + "\n";
}

void Inspector::add(const LabelledSession& session) {
  summary_.add(session);
  turn_counts_.push_back(session.turns.size());
  ids_.push_back(session.id);
  // Asked and answered, with labels or without: the rules' own view of the whole session.
  const auto asking = asking_turns(session.turns, {}, forms_);
  const auto exchanges = find_exchanges(session.turns, asking, forms_);
  size_t answered = 0;
  std::set<std::vector<std::string>> known;  // words of the questions answered in C_t
  for (const Sample& sample : session.samples) {
    for (; answered < exchanges.size() && exchanges[answered].answer_turn < sample.turn;
         ++answered) {
      known.insert(words(exchanges[answered].question));
    }
    const std::string id = sample_id(session, sample);
    if (has_empty_target(sample)) empty_.add(id);
    const auto questions = sample.kind.value == TurnKind::kAsk
                               ? forms_.questions(session.turns[sample.turn].text)
                               : std::vector<std::string>();
    if (std::any_of(questions.begin(), questions.end(),
                    [&](const std::string& question) { return known.contains(words(question)); })) {
      repeated_questions_.add(id);
    }
    const bool goes_on = sample.decision && sample.decision->value == Decision::kContinue;
    if (!goes_on || !sample.wanted) continue;
    ++targets_[sample.wanted->size()];
    std::set<std::string> counted;  // a question may be open with two answers
    for (const Item& item : *sample.wanted) {
      std::string key = question_key(item.question);
      if (!counted.insert(key).second) continue;
      ++questions_.try_emplace(std::move(key), Asked{item.question}).first->second.open_at;
    }
  }
  if (asks_after_stop(session, forms_)) {
    stops_with_questions_after_.add(sample_id(session, session.samples.back()));
  }
}

std::optional<std::string> Inspector::median_session() const {
  if (ids_.empty()) return std::nullopt;
  auto sorted = turn_counts_;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() - 1) / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  const auto found = std::find(turn_counts_.begin(), turn_counts_.end(), *middle);
  return ids_[static_cast<size_t>(found - turn_counts_.begin())];
}

std::optional<Inspector::OpenMostOften> Inspector::open_most_often() const {
  const auto most = std::max_element(
      questions_.begin(), questions_.end(),
      [](const auto& a, const auto& b) { return a.second.open_at < b.second.open_at; });
  if (most == questions_.end()) return std::nullopt;
  size_t turns = 0;
  for (const auto& [facts, count] : targets_) turns += facts > 0 ? count : 0;
  return OpenMostOften{most->second.question,
                       static_cast<double>(most->second.open_at) / static_cast<double>(turns)};
}

std::string Inspector::report() const {
  std::string out = to_text(summary_);
  if (turn_counts_.empty()) return out;
  auto sorted = turn_counts_;
  std::sort(sorted.begin(), sorted.end());
  size_t turns = 0;
  for (const size_t count : sorted) turns += count;
  const auto at = [&](size_t percent) { return sorted[(sorted.size() - 1) * percent / 100]; };
  out += fmt::format("turns a session: mean {:.1f}, least {}, median {}, 90% {}, most {}\n",
                     static_cast<double>(turns) / static_cast<double>(sorted.size()), at(0), at(50),
                     at(90), at(100));
  out += fmt::format("share of stop samples: {:.1f}% of those with a decision\n",
                     share(summary_.stops, summary_.stops + summary_.continues));
  out += "facts still to ask at a turn, continue samples\n" + histogram(targets_);
  if (const auto often = open_most_often()) {
    out += fmt::format("one question, asked at every turn, would be right at {:.1f}% or more: {}\n",
                       100 * often->share, shown(often->question));
  }
  out += "worth a look\n";
  out += empty_.line("continue, but nothing left to ask");
  out += stops_with_questions_after_.line("stop, but the expert asks after it");
  out += repeated_questions_.line("asks what was answered before");
  return out;
}

std::string session_to_text(const LabelledSession& session, size_t max_bytes) {
  std::string out =
      fmt::format("session {}{}\n", shown(session.id), session.censored ? " (censored)" : "");
  auto sample = session.samples.begin();
  for (size_t t = 0; t < session.turns.size(); ++t) {
    const Turn& turn = session.turns[t];
    out += fmt::format("  {:>4} {} {}\n", t, turn.role == Role::kUser ? "user  " : "expert",
                       shown(turn.text, max_bytes));
    if (sample != session.samples.end() && sample->turn == t) {
      out += sample_to_text(*sample++, max_bytes);
    }
  }
  return out;
}

}  // namespace l2a
