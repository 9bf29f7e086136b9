// One scored reply, and the evaluation (one policy under one grader) it belongs to: the rows
// that every number of a table can be computed from again. Metrics are in metrics.h.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/jsonl.h"
#include "dialogue/action.h"
#include "hindsight/sample.h"
#include "reward/score.h"

namespace l2a {

// How a policy stands in a table: only trained (or trainable) models compete for "best".
enum class PolicyRole { kModel, kBaseline, kExpert };
const char* policy_role_name(PolicyRole role);  // "model", "baseline", "expert"

// What a number is worthless without.
struct EvaluationFacts {
  std::string policy;  // unique in a table
  PolicyRole role = PolicyRole::kModel;
  std::string grader;
  std::string trained_by = {};  // the kind of grader that rewarded it; empty: none, or not known
  std::string split;            // e.g. "test"
  std::vector<std::pair<std::string, std::string>> prompts;  // file name, SHA-256
  DecodingOptions decoding;
  ScoringOptions scoring;
  // Samples of the split that have no row.
  size_t unlabelled = 0;     // extraction failed
  size_t censored = 0;       // no stop target
  size_t dropped_empty = 0;  // compat only: continue samples with empty I*
};

struct ScoredRow {
  std::string session;
  size_t turn = 0;         // index of the expert turn in the session's turns
  size_t reply_index = 0;  // in [0, facts.decoding.replies)
  TurnKind kind = TurnKind::kAsk;
  Decision truth = Decision::kContinue;
  size_t wanted = 0;  // number of items of I*_t
  Reply reply;
  std::optional<Action> action;  // nullopt: malformed
  size_t questions = 0;          // question sentences and requests in the reply
  bool repeated = false;         // one of them already stands in the context's expert turns
  // nullopt: unscored. Both or neither.
  std::optional<RewardParts> parts;
  std::optional<double> reward;
  std::string reason;         // the grader's, or why there is no grade
  bool unrecognised = false;  // the grader could not tell what the reply asks for
};

struct Evaluation {
  EvaluationFacts facts;
  std::vector<ScoredRow> rows;  // in the order of sessions, turns, replies
};

Json to_json(const EvaluationFacts& facts);
Json to_json(const ScoredRow& row);
Result<EvaluationFacts> facts_from_json(const Json& object);
Result<ScoredRow> scored_row_from_json(const Json& object);

// A "scored_replies" file: the header carries the facts (under "evaluation"), then one row a
// line. `header` gives command and hashes. Atomic. Throws Failure (kIo).
void write_scored_rows(const std::filesystem::path& path, const Evaluation& evaluation,
                       FileHeader header);
// Throws Failure naming the line; also when the header or its facts are missing.
Evaluation read_scored_rows(const std::filesystem::path& path);

}  // namespace l2a
