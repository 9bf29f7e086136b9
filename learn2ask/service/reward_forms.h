// The forms in which trainers ask for rewards. Pure functions.
//
//   /score     our own: {"replies": [{"context": "12/3" or "messages": [...], "text",
//   "truncated"?}]}
//              -> {"rewards": [3.0, null], "details": [{"macro", "micro", "format", "malformed",
//              "reason"}], "grading_prompts": {NAME: SHA-256}}
//   /trl       {"samples": ["12/3"], "completions": ["..."], "truncated"?: [false]} -> {"rewards"}
//              TRL 1.16.0: its reward functions may give None, which leaves the reply out
//   /openrlhf  {"query": [prompt + reply + end], "prompts", "labels": ["12/3"]}
//              -> {"rewards", "scores", "extra_logs"}; OpenRLHF 0.11.2, remote reward model
//   /verl      {"ground_truths": ["12/3"], "solution_strs": ["..."]} -> {"scores"}
//              veRL 0.9.1, through its custom reward function
//
// An unscored reply is null in the first two. The others have no word for it, so such a request is
// answered with an error, and never with a number.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "hindsight/sample_index.h"
#include "reward/score.h"

namespace l2a {

// Where rewards come from.
struct RewardSource {
  double highest = 0;             // reward of a perfect reply
  Json prompts = Json::object();  // of graders that ask a model, by their full name: SHA-256

  // Whether a reply that could not be scored may be scored when it is asked for again.
  bool may_change() const { return !prompts.empty(); }
};

struct RewardForm {
  const char* path;
  bool has_null;  // a reply may be unscored
  // kInvalidInput names the key and the place; kNotFound an unknown sample.
  Result<std::vector<ScoreRequest>> (*read)(const Json& body, const SampleIndex& samples);
  // Of scored replies where the form has no null.
  Json (*write)(std::span<const ScoredReply> replies, const RewardSource& source);
};

std::span<const RewardForm> reward_forms();

// What OpenRLHF's `query` has after its prompt, less the end tokens. kInvalidInput where the query
// does not begin with the prompt (leaving out white space): it was cut, so that the policy did not
// see the labelled conversation.
Result<std::string> reply_in_query(const std::string& query, const std::string& prompt);

}  // namespace l2a
