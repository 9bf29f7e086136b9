#include "hindsight/llm_extractor.h"

#include <algorithm>
#include <set>
#include <string>
#include <tuple>

#include <fmt/format.h>

#include "hindsight/quotation.h"
#include "llm/json_answer.h"

namespace l2a {
namespace {

// What the model is to answer.
const Json& answer_schema() {
  static const Json kSchema = [] {
    const Json text = {{"type", "string"}}, number = {{"type", "integer"}};
    const Json answer = {
        {"type", "object"},
        {"properties",
         {{"question_message", number},
          {"question", text},
          {"answer_message", number},
          {"quotation", text},
          {"unknown", {{"type", "boolean"}}}}},
        {"required", {"question_message", "question", "answer_message", "quotation", "unknown"}},
        {"additionalProperties", false}};
    return Json{{"type", "object"},
                {"properties", {{"answers", {{"type", "array"}, {"items", answer}}}}},
                {"required", {"answers"}},
                {"additionalProperties", false}};
  }();
  return kSchema;
}

// A message of a gathering: where its text stands in its turn.
struct Place {
  const Message* message;
  size_t turn, offset;
};

// All messages of the gathering's turns, in order: number n of the prompt is places[n - 1].
std::vector<Place> places_of(const Gathering& gathering) {
  std::vector<Place> places;
  for (size_t t = 0; t < gathering.turns.size(); ++t) {
    size_t offset = 0;
    for (size_t m = 0; m < gathering.turns[t].message_count; ++m) {
      const Message& message = gathering.session.messages[gathering.turns[t].first_message + m];
      places.push_back({&message, t, offset});
      offset += message.text.size() + 1;  // the newline that joins two messages
    }
  }
  return places;
}

// Messages of turns [begin, end), a JSON object a line: no text can look like another message.
std::string lines_of(const Gathering& gathering, size_t begin, size_t end) {
  std::string lines;
  const auto places = places_of(gathering);
  for (size_t i = 0; i < places.size(); ++i) {
    if (places[i].turn < begin || places[i].turn >= end) continue;
    lines += dump_json({{"message", i + 1},
                        {"from", places[i].message->role == Role::kUser ? "user" : "expert"},
                        {"text", places[i].message->text}}) +
             "\n";
  }
  return lines.empty() ? "(none)\n" : lines;
}

// One element of "answers", as the model gave it.
struct Claim {
  const Place* asked;
  const Place* answered;
  std::string question, quotation;
  bool unknown;
};

Result<const Place*> place_at(const std::vector<Place>& places, const Json& claim,
                              const char* key) {
  const auto number = get_index(claim, key, places.size() + 1);
  if (!number) return number.error();
  if (*number == 0) {
    return Error{ErrorCode::kInvalidInput,
                 "'" + std::string(key) + "': messages are counted from 1"};
  }
  return &places[*number - 1];
}

Result<Claim> claim_of(const Json& json, const std::vector<Place>& places) {
  const auto asked = place_at(places, json, "question_message");
  if (!asked) return asked.error();
  const auto answered = place_at(places, json, "answer_message");
  if (!answered) return answered.error();
  auto question = get_string(json, "question");
  if (!question) return question.error();
  auto quotation = get_string(json, "quotation");
  if (!quotation) return quotation.error();
  const auto unknown = get_bool_or(json, "unknown", false);
  if (!unknown) return unknown.error();
  return Claim{*asked, *answered, std::move(*question), std::move(*quotation), *unknown};
}

// The expert's own words: those that were quoted, else the questions of that message, else all.
std::string question_of(const Claim& claim, const QuestionForms& forms) {
  const std::string& text = claim.asked->message->text;
  if (const auto found = find_quotation(text, claim.question)) {
    return text.substr(found->begin, found->end - found->begin);
  }
  std::string joined;
  for (const std::string& question : forms.questions(text)) {
    joined += (joined.empty() ? "" : " ") + question;
  }
  return joined.empty() ? text : joined;
}

// A stop has its target all the same: nothing of the gathering comes after it.
Targets failed_targets(const Gathering& gathering, const Error& error) {
  Targets targets;
  for (const size_t turn : gathering.expert_turns) {
    const bool stops = turn == gathering.turns.size();
    targets.push_back(stops ? Result<std::vector<Item>>(std::vector<Item>()) : error);
  }
  return targets;
}

}  // namespace

std::vector<std::string> LlmExtractor::places(const LlmExtractionOptions& options) {
  if (options.per == "session") return {"conversation"};
  return {"context", "future"};
}

LlmExtractor::LlmExtractor(ChatClient& client, Prompt prompt, const QuestionForms& forms,
                           LlmExtractionOptions options)
    : client_(client), prompt_(std::move(prompt)), forms_(forms), options_(std::move(options)) {}

std::string LlmExtractor::name() const {
  return client_.name() + ", a " + options_.per + " at a time";
}

void LlmExtractor::ask(const Gathering& gathering, const Prompt::Values& values,
                       std::function<void(Result<std::vector<Exchange>>)> on_exchanges) {
  const ChatRequest request{.messages = prompt_.messages(values),
                            .max_tokens = options_.max_answer_tokens,
                            .schema = answer_schema()};
  ask_json<std::vector<Exchange>>(
      client_, request, prompt_.correction(),
      [this, &gathering](const Json& answer) { return read(gathering, answer); },
      std::move(on_exchanges));
}

Result<std::vector<Exchange>> LlmExtractor::read(const Gathering& gathering, const Json& answer) {
  const auto list = answer.find("answers");
  if (list == answer.end() || !list->is_array()) {
    return Error{ErrorCode::kInvalidInput, "'answers': expected a list"};
  }
  const auto places = places_of(gathering);
  std::vector<Claim> claims;
  for (const Json& json : *list) {
    auto claim = claim_of(json, places);
    if (!claim) return claim.error();
    claims.push_back(std::move(*claim));
  }
  std::vector<Exchange> exchanges;
  ExtractionCounts counts{.answers = claims.size()};
  for (const Claim& claim : claims) {
    const Place& answered = *claim.answered;
    const auto found = find_quotation(answered.message->text, claim.quotation);
    if (!found || answered.message->role != Role::kUser) {
      ++counts.not_said;
    } else if (claim.asked->message->role == Role::kUser || claim.asked->turn >= answered.turn) {
      ++counts.not_asked;
    } else {
      exchanges.push_back({.question = question_of(claim, forms_),
                           .question_turn = claim.asked->turn,
                           .answer_turn = answered.turn,
                           .answer = {answered.offset + found->begin, answered.offset + found->end},
                           .unknown = claim.unknown});
    }
  }
  // Few facts that are there say nothing of how many are missing.
  if (2 * exchanges.size() < claims.size()) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("only {} of {} quotations stand in the message of the user that they "
                             "are said to be from, after a question of the expert",
                             exchanges.size(), claims.size())};
  }
  counts_.answers += counts.answers;
  counts_.not_said += counts.not_said;
  counts_.not_asked += counts.not_asked;
  const auto order = [](const Exchange& e) {
    return std::tuple(e.answer_turn, e.answer.begin, e.answer.end);
  };
  std::stable_sort(exchanges.begin(), exchanges.end(),
                   [&](const Exchange& a, const Exchange& b) { return order(a) < order(b); });
  std::set<std::tuple<size_t, std::string, size_t, size_t, size_t>> told;  // a model repeats itself
  std::erase_if(exchanges, [&](const Exchange& e) {
    return !told.emplace(e.question_turn, e.question, e.answer_turn, e.answer.begin, e.answer.end)
                .second;
  });
  return exchanges;
}

std::vector<Targets> LlmExtractor::extract(std::span<const Gathering> gatherings) {
  std::vector<Targets> all(gatherings.size());
  for (size_t i = 0; i < gatherings.size(); ++i) {
    const Gathering& gathering = gatherings[i];
    const size_t end = gathering.turns.size();
    if (options_.per == "session") {
      ask(gathering, {{"conversation", lines_of(gathering, 0, end)}},
          [&, i](Result<std::vector<Exchange>> exchanges) {
            all[i] = exchanges ? targets_of(gathering, *exchanges, forms_)
                               : failed_targets(gathering, exchanges.error());
          });
      continue;
    }
    all[i] = failed_targets(gathering, {ErrorCode::kUnavailable, "not asked"});
    for (size_t k = 0; k < gathering.expert_turns.size(); ++k) {
      const size_t turn = gathering.expert_turns[k];
      if (turn == end) continue;  // a stop
      ask(gathering,
          {{"context", lines_of(gathering, 0, turn)}, {"future", lines_of(gathering, turn, end)}},
          [&, i, k, turn](Result<std::vector<Exchange>> exchanges) {
            if (!exchanges) {
              all[i][k] = exchanges.error();
              return;
            }
            // What was asked before is not asked of the model: by the rules it is known.
            auto known =
                find_exchanges(gathering.turns.first(turn), gathering.asking.first(turn), forms_);
            known.insert(known.end(), exchanges->begin(), exchanges->end());
            const Gathering one{gathering.session, gathering.turns, gathering.asking,
                                gathering.expert_turns.subspan(k, 1)};
            all[i][k] = std::move(targets_of(one, known, forms_)[0]);
          });
    }
  }
  client_.run();
  return all;
}

}  // namespace l2a
