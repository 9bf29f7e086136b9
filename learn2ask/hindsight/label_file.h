// Labels a file of sessions: one line in, one line out.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "hindsight/label.h"

namespace l2a {

// What labelling did, counted over sessions.
struct LabelSummary {
  size_t sessions = 0;
  size_t samples = 0;
  size_t stops = 0, continues = 0;
  size_t informs = 0;        // samples whose turn neither asks nor stops
  size_t censored = 0;       // sessions whose end is not in the log
  size_t unlabelled = 0;     // samples whose extraction failed
  size_t empty_targets = 0;  // continue samples with nothing left to ask
  size_t items = 0;          // over all samples
  std::map<std::string, size_t> kind_rules, decision_rules;  // how often each fired
  size_t left_out = 0;  // lines that are no session, or one that stood before
  size_t failed = 0;    // those, and sessions with an unlabelled sample
  size_t dropped = 0;   // continue samples that compat left out

  void add(const LabelledSession& session);
};

// Aligned lines for a terminal.
std::string to_text(const LabelSummary& summary);

struct LabelFileJob {
  std::filesystem::path input;     // JSONL of sessions, with or without a header line
  std::filesystem::path output;    // appears under its name only when all is labelled
  std::string command;             // for the header
  Overrides* overrides = nullptr;  // a person's corrections; null: none
};

// Lines that are no session, ids that stand twice and failed extractions go to failures_path()
// (base/failure_log.h). Throws Failure (kInvalidInput) for an override that fits nothing, past
// `options.max_failure_rate` of the last 200 sessions, and at the end past that share of all; when
// there is no session; or what reading and writing throw. `on_session` is called for each line.
// Memory: extractor.batch() sessions, and the ids.
LabelSummary label_file(
    const LabelFileJob& job, const LabelOptions& options, const QuestionForms& forms,
    Extractor& extractor, const std::function<void()>& on_session = [] {});

}  // namespace l2a
