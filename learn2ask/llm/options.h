// The settings of an endpoint, under the key `llm` of whatever command asks one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"

namespace l2a {

struct LlmOptions {
  std::string url;         // of an OpenAI-compatible API, such as http://localhost:8000/v1
  std::string in_process;  // a model of our own instead
  std::string model;       // as the endpoint names it
  std::string key_env = "LEARN2ASK_LLM_KEY";
  std::string key_file;
  bool allow_external = false;

  int64_t concurrency = 16;
  int64_t requests_per_minute = 0;
  int64_t tokens_per_minute = 0;
  double timeout_s = 120;
  double connect_timeout_s = 10;
  int64_t max_reply_bytes = 4 << 20;

  int64_t max_attempts = 6;
  double first_wait_s = 0.5;
  double longest_wait_s = 30;
  double max_outage_s = 600;
  // What the bodies of APIs say when the account is empty; compared without regard to case.
  std::vector<std::string> quota_phrases = {"insufficient_quota",
                                            "exceeded your current quota",
                                            "insufficient balance",
                                            "insufficient_balance",
                                            "insufficient credits",
                                            "billing_hard_limit",
                                            "credit balance is too low",
                                            "arrearage",
                                            "余额不足"};

  double price_prompt = 0;
  double price_completion = 0;
  std::vector<std::string> prices = {};  // "MODEL=PROMPT/COMPLETION"
  double max_spend = 0;
  int64_t max_calls = 0;

  std::string response_format = "json_schema";
  std::string max_tokens_key = "max_tokens";
  bool send_seed = true;
  bool send_temperature = true;

  std::string cache = "runs/llm-cache.sqlite";
  bool replay = false;

  template <class Visitor>
  void visit(Visitor& v) {
    v("url", url, "an OpenAI-compatible API, such as http://localhost:8000/v1");
    v("model", model, "the model's name there");
    v("in_process", in_process,
      "instead of an endpoint: a GGUF file or Hugging Face folder, or 'embedded', in this process");
    v("key_env", key_env, "environment variable that holds the API key, where one is needed");
    v("key_file", key_file, "file that holds it instead; only its owner may read it");
    v("allow_external", allow_external,
      "also send to an endpoint that is neither on this machine nor in a private network");
    v("concurrency", concurrency, Range{1, 4096}, "calls in flight");
    v("requests_per_minute", requests_per_minute, Range{0, 1e9},
      "on average, over two seconds' worth at once; 0: no limit");
    v("tokens_per_minute", tokens_per_minute, Range{0, 1e12},
      "the same, of prompts (estimated) and answers (their limit); 0: no limit");
    v("timeout_s", timeout_s, Range{0.01, 86400}, "seconds until a call is given up");
    v("connect_timeout_s", connect_timeout_s, Range{0.01, 3600}, "seconds until a connection is");
    v("max_reply_bytes", max_reply_bytes, Range{1024, 1 << 30}, "a longer answer is refused");
    v("max_attempts", max_attempts, Range{1, 100}, "tries of a call before it counts as failed");
    v("first_wait_s", first_wait_s, Range{0.001, 3600},
      "about, before the second try; then doubled");
    v("longest_wait_s", longest_wait_s, Range{0.001, 3600}, "between two tries");
    v("max_outage_s", max_outage_s, Range{0, 86400}, "without any answer, before the run pauses");
    v("quota_phrases", quota_phrases,
      "texts in an error that say that the account is used up: the run pauses");
    v("price_prompt", price_prompt, Range{0, 1e6}, "of a million tokens of prompts");
    v("price_completion", price_completion, Range{0, 1e6}, "of a million tokens of answers");
    v("prices", prices, "of models that cost otherwise, each MODEL=PROMPT/COMPLETION");
    v("max_spend", max_spend, Range{0, 1e9},
      "in the unit of the prices, by all runs of a ledger; 0: no limit");
    v("max_calls", max_calls, Range{0, 1e12},
      "that may be sent, by all runs of a ledger; 0: no limit");
    v.choice("response_format", response_format, {"json_schema", "json_object", "none"},
             "how the endpoint is told that an answer is to be JSON");
    v.choice("max_tokens_key", max_tokens_key, {"max_tokens", "max_completion_tokens"},
             "what the endpoint calls the limit of an answer's length");
    v("send_seed", send_seed, "send a seed, so that the endpoint can repeat an answer");
    v("send_temperature", send_temperature,
      "send the temperature; false for models that refuse any but their own");
    v("cache", cache, "answers that came once, as they came, for all runs; empty: none is kept");
    v("replay", replay, "answer from the cache alone; nothing is sent");
  }
};

}  // namespace l2a
