#include "service/reward_forms.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/utf8.h"

namespace l2a {
namespace {

using Requests = std::vector<ScoreRequest>;

std::vector<std::string> texts_at(const Json& body, const char* key) {
  std::vector<std::string> texts;
  for (const Json& text : *get_list(body, key).value_or_throw()) {
    if (!text.is_string()) {
      fail_input(
          fmt::format("'{}'[{}]: expected a text, got {}", key, texts.size(), type_phrase(text)));
    }
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

void require_same_length(const char* a, size_t length_a, const char* b, size_t length_b) {
  if (length_a == length_b) return;
  fail_input(fmt::format("'{}' has {} entries and '{}' {}", a, length_a, b, length_b));
}

ScoreRequest request_for(const SamplePlace& place, std::string text, bool truncated = false) {
  return {place.session, place.sample, {.text = std::move(text), .truncated = truncated}};
}

// Whatever is wrong with entry `i` of `key` is said with its place.
template <class Value>
Value at_entry(Result<Value> value, const char* key, size_t i) {
  if (!value) {
    fail(value.error().code, fmt::format("'{}'[{}]: {}", key, i, value.error().message));
  }
  return std::move(*value);
}

SamplePlace place_of(const std::string& id, const SampleIndex& samples, const char* key, size_t i) {
  // An unknown sample is the request's fault, whatever the path.
  auto place = samples.find(id);
  if (!place) fail_input(fmt::format("'{}'[{}]: {}", key, i, place.error().message));
  return *place;
}

// A conversation as OpenAI has it; system messages are no part of the log.
Result<std::vector<Turn>> turns_of_messages(const Json& messages) {
  const auto wrong = [](const std::string& why) { return Error{ErrorCode::kInvalidInput, why}; };
  if (!messages.is_array()) return wrong("expected a list, got " + type_phrase(messages));
  Session session{.id = {}, .system = {}, .messages = {}, .tail = {}, .stop_seen = {}};
  for (const Json& message : messages) {
    const auto role = get_string(message, "role");
    if (!role) return role.error();
    const auto text = get_string(message, "content");
    if (!text) return text.error();
    if (*role == "system") continue;
    if (*role != "user" && *role != "assistant") {
      return wrong("'role': expected system, user or assistant, got '" + shown(*role) + "'");
    }
    session.messages.push_back(
        {.role = *role == "user" ? Role::kUser : Role::kAssistant, .text = *text});
  }
  return turns_of(session);
}

Result<SamplePlace> named_place(const Json& reply, const SampleIndex& samples) {
  const bool by_id = reply.contains("context"), by_messages = reply.contains("messages");
  if (by_id == by_messages) {
    return Error{ErrorCode::kInvalidInput, "expected one of 'context' and 'messages'"};
  }
  if (by_id) {
    const auto id = get_string(reply, "context");
    return id ? samples.find(*id) : Result<SamplePlace>(id.error());
  }
  const auto turns = turns_of_messages(reply["messages"]);
  if (!turns) return Error{ErrorCode::kInvalidInput, "'messages': " + turns.error().message};
  return samples.find_context(*turns);
}

template <class Read>
Result<Requests> caught(const Read& read) {
  try {
    return read();
  } catch (const Failure& failure) {
    return Error{ErrorCode::kInvalidInput, failure.error.message};
  }
}

Result<Requests> read_own(const Json& body, const SampleIndex& samples) {
  return caught([&] {
    Requests requests;
    for (const Json& reply : *get_list(body, "replies").value_or_throw()) {
      const size_t i = requests.size();
      if (!reply.is_object()) {
        fail_input(fmt::format("'replies'[{}]: expected an object, got {}", i, type_phrase(reply)));
      }
      const SamplePlace place = at_entry(named_place(reply, samples), "replies", i);
      requests.push_back(
          request_for(place, at_entry(get_string(reply, "text"), "replies", i),
                      at_entry(get_bool_or(reply, "truncated", false), "replies", i)));
    }
    return requests;
  });
}

Result<Requests> read_trl(const Json& body, const SampleIndex& samples) {
  return caught([&] {
    const auto ids = texts_at(body, "samples");
    auto texts = texts_at(body, "completions");
    require_same_length("samples", ids.size(), "completions", texts.size());
    std::vector<bool> truncated(ids.size());
    if (body.contains("truncated")) {
      const Json& list = *get_list(body, "truncated").value_or_throw();
      require_same_length("samples", ids.size(), "truncated", list.size());
      for (size_t i = 0; i < list.size(); ++i) {
        if (!list[i].is_boolean()) fail_input(fmt::format("'truncated'[{}]: expected a bool", i));
        truncated[i] = list[i].get<bool>();
      }
    }
    Requests requests;
    for (size_t i = 0; i < ids.size(); ++i) {
      requests.push_back(
          request_for(place_of(ids[i], samples, "samples", i), std::move(texts[i]), truncated[i]));
    }
    return requests;
  });
}

// Where the form has no null: a reply to a sample whose target is not known stays unscored for
// good.
void require_target(const ScoreRequest& request, const char* key, size_t i) {
  if (request.sample->wanted || request.sample->decision->value == Decision::kStop) return;
  fail_input(
      fmt::format("'{}'[{}]: sample '{}' is unlabelled: its replies cannot be scored (leave "
                  "it out of the dataset)",
                  key, i, shown(sample_id(*request.session, *request.sample))));
}

Result<Requests> read_openrlhf(const Json& body, const SampleIndex& samples) {
  return caught([&] {
    const auto queries = texts_at(body, "query"), prompts = texts_at(body, "prompts"),
               ids = texts_at(body, "labels");
    require_same_length("query", queries.size(), "prompts", prompts.size());
    require_same_length("query", queries.size(), "labels", ids.size());
    Requests requests;
    for (size_t i = 0; i < ids.size(); ++i) {
      const SamplePlace place = place_of(ids[i], samples, "labels", i);
      requests.push_back(
          request_for(place, at_entry(reply_in_query(queries[i], prompts[i]), "query", i)));
      require_target(requests.back(), "labels", i);
    }
    return requests;
  });
}

Result<Requests> read_verl(const Json& body, const SampleIndex& samples) {
  return caught([&] {
    const auto ids = texts_at(body, "ground_truths");
    auto texts = texts_at(body, "solution_strs");
    require_same_length("ground_truths", ids.size(), "solution_strs", texts.size());
    Requests requests;
    for (size_t i = 0; i < ids.size(); ++i) {
      requests.push_back(
          request_for(place_of(ids[i], samples, "ground_truths", i), std::move(texts[i])));
      require_target(requests.back(), "ground_truths", i);
    }
    return requests;
  });
}

Json rewards_of(std::span<const ScoredReply> replies) {
  Json rewards = Json::array();
  for (const ScoredReply& reply : replies) {
    rewards.push_back(reply.reward ? Json(*reply.reward) : Json(nullptr));
  }
  return rewards;
}

Json write_own(std::span<const ScoredReply> replies, const RewardSource& source) {
  Json details = Json::array();
  for (const ScoredReply& reply : replies) {
    const auto part = [&](double RewardParts::* member) {
      return reply.reward ? Json((*reply.parts).*member) : Json(nullptr);
    };
    details.push_back({{"macro", part(&RewardParts::macro)},
                       {"micro", part(&RewardParts::micro)},
                       {"format", part(&RewardParts::format)},
                       {"malformed", !reply.action.has_value()},
                       {"reason", reply.reason}});
  }
  return {{"rewards", rewards_of(replies)},
          {"details", std::move(details)},
          {"grading_prompts", source.prompts}};
}

Json write_trl(std::span<const ScoredReply> replies, const RewardSource&) {
  return {{"rewards", rewards_of(replies)}};
}

// Its dynamic filtering takes scores of 0 to 1.
Json write_openrlhf(std::span<const ScoredReply> replies, const RewardSource& source) {
  Json scores = Json::array(), macro = Json::array(), micro = Json::array(), format = Json::array();
  for (const ScoredReply& reply : replies) {
    scores.push_back(*reply.reward / source.highest);
    macro.push_back(reply.parts->macro);
    micro.push_back(reply.parts->micro);
    format.push_back(reply.parts->format);
  }
  return {
      {"rewards", rewards_of(replies)},
      {"scores", std::move(scores)},
      {"extra_logs",
       {{"macro", std::move(macro)}, {"micro", std::move(micro)}, {"format", std::move(format)}}}};
}

Json write_verl(std::span<const ScoredReply> replies, const RewardSource&) {
  return {{"scores", rewards_of(replies)}};
}

// ---- the reply in a query ----

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// The bytes of `query` that stand for `prompt`, white space left out on both sides; npos when it
// does not begin with it.
size_t prompt_end(std::string_view query, std::string_view prompt) {
  if (query.starts_with(prompt)) return prompt.size();
  size_t at = 0;
  for (const char c : prompt) {
    if (is_space(c)) continue;
    while (at < query.size() && is_space(query[at])) ++at;
    if (at == query.size() || query[at] != c) return query.npos;
    ++at;
  }
  return at;
}

// The length of the end token that `text` ends in; 0 when there is none: "<|im_end|>",
// "<｜end▁of▁sentence｜>", "</s>", "<eos>", "<end_of_turn>".
size_t end_token_length(std::string_view text) {
  for (const std::string_view token : {"</s>", "<eos>", "<end_of_turn>"}) {
    if (text.ends_with(token)) return token.size();
  }
  constexpr size_t kLongest = 40;
  for (const std::string_view bar : {std::string_view("|"), std::string_view("\xEF\xBD\x9C")}) {
    const std::string close = std::string(bar) + ">", open = "<" + std::string(bar);
    if (!text.ends_with(close)) continue;
    const size_t begin = text.substr(0, text.size() - close.size()).rfind(open);
    if (begin == text.npos) continue;
    const std::string_view name =
        text.substr(begin + open.size(), text.size() - close.size() - begin - open.size());
    const bool plain = name.find_first_of("<>") == name.npos && name.find(bar) == name.npos;
    if (plain && !name.empty() && name.size() <= kLongest) return text.size() - begin;
  }
  return 0;
}

constexpr std::array kForms = {RewardForm{"/score", true, read_own, write_own},
                               RewardForm{"/trl", true, read_trl, write_trl},
                               RewardForm{"/openrlhf", false, read_openrlhf, write_openrlhf},
                               RewardForm{"/verl", false, read_verl, write_verl}};

}  // namespace

std::span<const RewardForm> reward_forms() { return kForms; }

Result<std::string> reply_in_query(const std::string& query, const std::string& prompt) {
  const size_t end = prompt_end(query, prompt);
  if (end == query.npos) {
    return Error{ErrorCode::kInvalidInput,
                 "it does not begin with its prompt: was the prompt cut to the trainer's limit?"};
  }
  std::string_view reply = std::string_view(query).substr(end);
  while (true) {
    while (!reply.empty() && is_space(reply.back())) reply.remove_suffix(1);
    const size_t token = end_token_length(reply);
    if (token == 0) return std::string(reply);
    reply.remove_suffix(token);
  }
}

}  // namespace l2a
