// A chat endpoint that misbehaves in every way that endpoints do, for the program's tests.
//
// usage: hostile_endpoint [well|hostile|expired|long]      prints its URL, runs until standard
// input ends
//
// It reads logs as the program's extraction prompt asks, by a rule: what an expert's message with a
// question mark asks, the next message of the user answers. It judges questions as the grading
// prompt asks: 1 if one has a long word of an open question, else 0. What it says to a request
// depends on that request alone; how it goes wrong before, also on how often the request was sent.
// `expired` refuses the key from the thirtieth call on; `long` says ten megabytes to every third
// request, and is well otherwise. A line on standard input is answered by the
// number of calls so far.
#include <cstdio>
#include <iostream>
#include <set>

#include "base/rng.h"
#include "base/utf8.h"
#include "llm/testing.h"

namespace l2a {
namespace {

// The answers that stand in the prompt's lines {"message": n, "from": ..., "text": ...}.
Json read_log(const std::string& prompt) {
  Json answers = Json::array();
  Json asked;
  for (size_t at = 0; at < prompt.size();) {
    const size_t end = std::min(prompt.find('\n', at), prompt.size());
    const auto line = parse_json(std::string_view(prompt).substr(at, end - at));
    at = end + 1;
    if (!line || !line->is_object() || !line->contains("message")) continue;
    const std::string text = (*line)["text"];
    if ((*line)["from"] == "expert") {
      asked = text.find('?') == text.npos ? Json() : *line;
    } else if (!asked.is_null()) {
      answers.push_back({{"question_message", asked["message"]},
                         {"question", asked["text"]},
                         {"answer_message", (*line)["message"]},
                         {"quotation", text},
                         {"unknown", false}});
      asked = Json();
    }
  }
  return answers;
}

// The verdict on the prompt's question, a line that is a JSON string, beside its open items, lines
// {"question": ..., "answer": ...}; null: it asks for no verdict.
Json judge(const std::string& prompt) {
  constexpr size_t kLong = 5;
  std::set<std::string> open;
  Json verdict;
  for (size_t at = 0; at < prompt.size();) {
    const size_t end = std::min(prompt.find('\n', at), prompt.size());
    const auto line = parse_json(std::string_view(prompt).substr(at, end - at));
    at = end + 1;
    if (!line) continue;
    if (line->is_object() && line->contains("answer")) {
      for (const std::string& word : words((*line)["question"].get<std::string>())) {
        if (word.size() >= kLong) open.insert(word);
      }
    } else if (line->is_string()) {
      bool reached = false;
      for (const std::string& word : words(line->get<std::string>())) {
        reached = reached || open.contains(word);
      }
      verdict = {{"reason", "by its words"}, {"content", reached ? 1 : 0}, {"format", 1}};
    }
  }
  return verdict;
}

ScriptedAnswer good_answer(const ReceivedCall& call) {
  const Json body = *parse_json(call.body);
  const Json& messages = body["messages"];
  if (messages.size() < 2) return says("pong");
  if (const Json verdict = judge(messages[1]["content"]); !verdict.is_null()) {
    return says(dump_json(verdict));
  }
  return says(dump_json({{"answers", read_log(messages[1]["content"])}}));
}

// A way to go wrong that is mended when the request is sent again, or after a correction; nullopt:
// none.
std::optional<ScriptedAnswer> trouble(const ReceivedCall& call, uint64_t dice) {
  const bool first = call.retries() == 0;
  const bool corrected = (*parse_json(call.body))["messages"].size() > 2;
  switch (dice % 12) {
    case 0:
      return first ? std::optional(ScriptedAnswer{.manner = Manner::kReset}) : std::nullopt;
    case 1:
      return first ? std::optional(ScriptedAnswer{.manner = Manner::kHang}) : std::nullopt;
    case 2:
      if (call.retries() > 1) return std::nullopt;
      return ScriptedAnswer{.status = 429, .body = "slow down"};
    case 3:
      return first ? std::optional(ScriptedAnswer{.status = 500}) : std::nullopt;
    case 4:
      return first ? std::optional(ScriptedAnswer{.body = "worker died"}) : std::nullopt;
    case 5: {
      if (!first) return std::nullopt;
      ScriptedAnswer cut = good_answer(call);
      cut.manner = Manner::kCut;
      return cut;
    }
    case 6:
      if (corrected) return std::nullopt;
      return says(dice / 12 % 2 == 0 ? R"({"reason": "?", "content": 7, "format": 1})"
                                     : R"({"reason": "?", "content": NaN, "format": 1})");
    case 7:
      return corrected ? std::nullopt : std::optional(says("I am sorry, but I cannot"));
    case 9: {
      if (!first) return std::nullopt;
      ScriptedAnswer slow = good_answer(call);
      slow.manner = Manner::kDrip;
      return slow;
    }
    case 10:
      if (!first) return std::nullopt;
      return ScriptedAnswer{.status = 429, .body = "slow down", .headers = {"Retry-After: 0"}};
    default:
      return std::nullopt;
  }
}

uint64_t dice_of(const Json& messages) {
  return stable_hash(messages[1]["content"].get<std::string>());
}

ScriptedAnswer long_answer(const ReceivedCall& call) {
  const Json body = *parse_json(call.body);
  const bool is_long = body["messages"].size() > 1 && dice_of(body["messages"]) % 3 == 0;
  return is_long ? says(std::string(10 << 20, 'x')) : good_answer(call);
}

ScriptedAnswer hostile_answer(const ReceivedCall& call) {
  const Json body = *parse_json(call.body);
  const Json& messages = body["messages"];
  if (messages.size() < 2) return says("pong");
  const uint64_t dice = dice_of(messages);
  if (auto wrong = trouble(call, dice)) return std::move(*wrong);
  ScriptedAnswer answer = good_answer(call);
  if (dice % 12 == 8) answer.manner = Manner::kTwice;
  answer.delay = std::chrono::milliseconds(dice % 20);
  return answer;
}

}  // namespace
}  // namespace l2a

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "well";
  l2a::ScriptedEndpoint endpoint([&](const l2a::ReceivedCall& call) {
    if (mode == "expired" && call.number >= 30) {
      return l2a::ScriptedAnswer{.status = 401, .body = R"({"error": {"message": "no such key"}})"};
    }
    if (mode == "long") return l2a::long_answer(call);
    return mode == "well" ? l2a::good_answer(call) : l2a::hostile_answer(call);
  });
  std::printf("%s\n", endpoint.url().c_str());
  std::fflush(stdout);
  std::string line;
  while (std::getline(std::cin, line)) {
    std::printf("%zu\n", endpoint.calls());
    std::fflush(stdout);
  }
}
