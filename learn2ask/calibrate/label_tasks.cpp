#include "calibrate/label_tasks.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/utf8.h"
#include "calibrate/people_agreement.h"
#include "llm/json_answer.h"

namespace l2a {
namespace {

Json texts_of(const CalibrationItem& item, std::span<const SaidRange> said) {
  Json list = Json::array();
  for (const SaidRange& range : said) {
    list.push_back(item.future[range.turn - item.context.size()].text.substr(
        range.bytes.begin, range.bytes.end - range.bytes.begin));
  }
  return list;
}

// What the model says is the prompt's doing, and so may be that a call is refused: too long, or
// against a policy. That nothing answers is not, nor that so many calls are all refused
// (llm/json_answer.h has the codes).
class Unanswered {
 public:
  // Throws Failure where nothing answers.
  void add(const std::string& item, const Error& error) {
    if (gravity_of(error) == 0) return;
    if (gravity_of(error) > 1) stop(item, error);
    ++refused_;
    if (!first_) first_ = {item, error};
  }
  // Throws Failure where all that was asked about `items` was refused, and they are too many for
  // chance.
  void end(size_t items) const {
    if (refused_ == items && items >= kMany) stop(first_->first, first_->second);
  }

 private:
  static constexpr size_t kMany = 5;
  [[noreturn]] static void stop(const std::string& item, const Error& error) {
    fail(error.code, "calibrate: item " + item + ": no answer: " + error.message +
                         " (mend that, then run the same command again)");
  }
  size_t refused_ = 0;
  std::optional<std::pair<std::string, Error>> first_;
};

}  // namespace

GradeRequest grade_request(const CalibrationItem& item) {
  return {.context_id = item.context_id,
          .context = item.context,
          .wanted = item.open,
          .question = item.reply};
}

GradingTask::GradingTask(std::vector<ChatClient*> judges, LlmGradingOptions options,
                         std::span<const CalibrationItem> items, const GoldLabels& labels)
    : judges_(std::move(judges)), options_(std::move(options)) {
  for (const CalibrationItem& item : items) {
    const auto gold = labels.grade_of(item.id);
    if (item.kind != ItemKind::kGrade || !gold) continue;
    items_.push_back(item);
    gold_.push_back(*gold);
  }
}

std::vector<Outcome> GradingTask::run(const std::string& prompt, std::span<const size_t> items) {
  LlmGrader grader(judges_, Prompt::parse(prompt, "prompt", LlmGrader::places()), options_);
  std::vector<GradeRequest> requests;
  for (const size_t item : items) requests.push_back(grade_request(items_[item]));
  const auto grades = grader.grade(requests);
  std::vector<Outcome> outcomes;
  Unanswered unanswered;
  size_t asked = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    asked += !items_[items[i]].open.empty();
    if (grades[i]) {
      outcomes.push_back({std::abs(grades[i]->content - gold_[items[i]]),
                          fmt::format("{:g}: {}", grades[i]->content, grades[i]->reason)});
    } else {
      unanswered.add(items_[items[i]].id, grades[i].error());
      outcomes.push_back({1, "no verdict: " + grades[i].error().message});
    }
  }
  unanswered.end(asked);
  return outcomes;
}

std::vector<SearchItem> GradingTask::search_items() const {
  std::vector<SearchItem> items;
  for (size_t i = 0; i < items_.size(); ++i) {
    items.push_back({items_[i].session(), fmt::format("grade {:g}", gold_[i])});
  }
  return items;
}

std::string GradingTask::describe(const Mistake& mistake) const {
  const CalibrationItem& item = items_[mistake.item];
  Json open = Json::array();
  for (const Item& wanted : item.open) {
    open.push_back({{"question", wanted.question}, {"answer", wanted.fact}});
  }
  return dump_json({{"conversation", turns_to_json(item.context)},
                    {"still_found_out", std::move(open)},
                    {"message", item.reply},
                    {"people_say", gold_[mistake.item]},
                    {"the_model_said", mistake.outcome.said}});
}

ExtractionTask::ExtractionTask(ChatClient& client, LlmExtractionOptions options,
                               LabelOptions label_options, const QuestionForms& forms,
                               std::span<const CalibrationItem> items, const GoldLabels& labels,
                               const std::vector<Session>& sessions)
    : client_(client),
      options_(std::move(options)),
      label_options_(std::move(label_options)),
      forms_(forms) {
  for (const Session& session : sessions) sessions_.emplace(session.id, &session);
  for (const CalibrationItem& item : items) {
    for (const GoldLabel* label : labels.of(item.id)) {
      auto truth = said_according_to(*label, item);
      if (item.kind != ItemKind::kExtract || !truth) continue;
      require_session_of(item);
      items_.push_back(item);
      truth_.push_back(std::move(*truth));
      break;
    }
  }
}

// Where it says what the item says: places in the one are compared with places in the other.
void ExtractionTask::require_session_of(const CalibrationItem& item) const {
  const auto session = sessions_.find(item.session());
  const auto where = [&] {
    return "calibrate: item " + item.id + ": session '" + shown(item.session());
  };
  if (session == sessions_.end()) fail_input(where() + "' is not among the sessions");
  auto said = item.context;
  said.insert(said.end(), item.future.begin(), item.future.end());
  const auto turns = turns_of(*session->second);
  const bool same =
      std::equal(said.begin(), said.end(), turns.begin(), turns.end(),
                 [](const Turn& a, const Turn& b) { return a.role == b.role && a.text == b.text; });
  if (!same) fail_input(where() + "' says something else than the item");
}

std::vector<Outcome> ExtractionTask::run(const std::string& prompt, std::span<const size_t> items) {
  LlmExtractor extractor(client_, Prompt::parse(prompt, "prompt", LlmExtractor::places(options_)),
                         forms_, options_);
  std::map<std::string, size_t> places;  // of sessions in `read`
  std::vector<Session> read;
  for (const size_t item : items) {
    const std::string id = items_[item].session();
    if (places.emplace(id, read.size()).second) read.push_back(*sessions_.at(id));
  }
  const auto labelled = Labeller(label_options_, forms_, extractor).label(read);
  std::vector<Outcome> outcomes;
  Unanswered unanswered;
  for (const size_t item : items) {
    const LabelOutcome& read_so = labelled[places.at(items_[item].session())];
    const auto read_item = reading_of(item, read_so);
    // Of all turns of its session, the item's own among them where that was not read.
    for (const Error& error : read_so.extraction_errors) {
      if (gravity_of(error) > 1) unanswered.add(items_[item].id, error);
    }
    if (!read_item) unanswered.add(items_[item].id, read_item.error());
    outcomes.push_back(read_item ? *read_item
                                 : Outcome{1, "no reading: " + read_item.error().message});
  }
  unanswered.end(items.size());
  return outcomes;
}

Result<Outcome> ExtractionTask::reading_of(size_t item, const LabelOutcome& labelled) const {
  if (!labelled.session) return labelled.session.error();
  const size_t turn = items_[item].context.size();
  for (const Sample& sample : labelled.session->samples) {
    if (sample.turn != turn) continue;
    if (!sample.wanted) break;
    std::vector<SaidRange> claims;
    Json facts = Json::array();
    for (const Item& wanted : *sample.wanted) {
      claims.push_back(said_range(wanted, *labelled.session));
      facts.push_back(wanted.fact);
    }
    // Nothing found where there is nothing is right.
    const double f1 = count_claims(claims, truth_[item]).f1().value_or(1);
    return Outcome{1 - f1, dump_json(facts)};
  }
  const auto& errors = labelled.extraction_errors;
  const auto gravest = std::max_element(
      errors.begin(), errors.end(),
      [](const Error& a, const Error& b) { return gravity_of(a) < gravity_of(b); });
  if (gravest != errors.end()) return *gravest;
  return Error{ErrorCode::kInvalidInput, "the turn has no target"};
}

std::vector<SearchItem> ExtractionTask::search_items() const {
  std::vector<SearchItem> items;
  for (size_t i = 0; i < items_.size(); ++i) {
    const char* amount = truth_[i].empty() ? "none" : truth_[i].size() < 3 ? "few" : "many";
    items.push_back({items_[i].session(), amount});
  }
  return items;
}

std::string ExtractionTask::describe(const Mistake& mistake) const {
  const CalibrationItem& item = items_[mistake.item];
  return dump_json({{"conversation_before", turns_to_json(item.context)},
                    {"conversation_after", turns_to_json(item.future)},
                    {"people_say", texts_of(item, truth_[mistake.item])},
                    {"the_model_said", mistake.outcome.said}});
}

}  // namespace l2a
