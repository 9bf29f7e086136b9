#include "hindsight/label_file.h"

#include <unordered_set>

#include <fmt/format.h>

#include "base/failure_log.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/jsonl.h"
#include "base/utf8.h"

namespace l2a {
namespace {

FileHeader header_of(const LabelFileJob& job, const LabelOptions& options,
                     const QuestionForms& forms, const Extractor& extractor) {
  Json extra = {{"extractor", extractor.name()}, {"questions_sha256", forms.phrases().sha256()}};
  if (!extractor.prompt_sha256().empty()) extra["prompt_sha256"] = extractor.prompt_sha256();
  if (job.overrides != nullptr) extra["overrides_sha256"] = job.overrides->sha256();
  return {.format = "labels",
          .command = job.command,
          .config_sha256 = sha256_hex(config_to_yaml(list_config(options))),
          .input_sha256 = sha256_file(job.input),
          .extra = extra};
}

}  // namespace

void LabelSummary::add(const LabelledSession& session) {
  ++sessions;
  censored += session.censored;
  samples += session.samples.size();
  for (const Sample& sample : session.samples) {
    informs += sample.kind.value == TurnKind::kInform;
    ++kind_rules[std::string(turn_kind_name(sample.kind.value)) + ": " + sample.kind.rule];
    unlabelled += !sample.wanted;
    empty_targets += has_empty_target(sample);
    if (sample.wanted) items += sample.wanted->size();
    if (!sample.decision) continue;
    const bool stop = sample.decision->value == Decision::kStop;
    stops += stop;
    continues += !stop;
    ++decision_rules[std::string(decision_name(sample.decision->value)) + ": " +
                     sample.decision->rule];
  }
}

std::string to_text(const LabelSummary& summary) {
  std::string out;
  const auto line = [&](std::string_view name, size_t count) {
    out += fmt::format("{:<34}{:>9}\n", name, count);
  };
  line("sessions", summary.sessions);
  line("  left out (no session, or twice)", summary.left_out);
  line("  censored (no end in the log)", summary.censored);
  line("samples", summary.samples);
  line("  stop", summary.stops);
  line("  continue", summary.continues);
  line("  inform (no SFT target)", summary.informs);
  line("  continue with nothing to ask", summary.empty_targets);
  line("  unlabelled (extraction failed)", summary.unlabelled);
  if (summary.dropped > 0) line("  left out by compat", summary.dropped);
  line("facts still to ask, all samples", summary.items);
  out += "what a turn does, by rule\n";
  for (const auto& [rule, count] : summary.kind_rules) line("  " + rule, count);
  out += "whether to stop, by rule\n";
  for (const auto& [rule, count] : summary.decision_rules) line("  " + rule, count);
  return out;
}

namespace {

// A line of the input: its session, or why it is none.
struct ReadLine {
  std::string where;
  Result<Session> session;
};

// Sessions of a file, in its order, some at a time.
class SessionLines {
 public:
  explicit SessionLines(const std::filesystem::path& path) : reader_(path) {}
  const std::string& name() const { return reader_.name(); }

  // The next `count` lines; fewer at the end of the file.
  std::vector<ReadLine> next(size_t count) {
    std::vector<ReadLine> lines;
    while (lines.size() < count) {
      throw_if_interrupted();
      auto line = reader_.next();
      if (!line) break;
      if (!*line) {
        lines.push_back({reader_.name(), line->error()});
        continue;
      }
      std::string where = reader_.name() + ":" + std::to_string((*line)->number);
      if (std::exchange(first_, false) && read_header((*line)->value, "sessions", where)) continue;
      lines.push_back({std::move(where), session_of((*line)->value)});
    }
    return lines;
  }

 private:
  Result<Session> session_of(const Json& line) {
    auto session = session_from_json(line);
    if (session && !ids_.insert(session->id).second) {
      return Error{ErrorCode::kInvalidInput,
                   "'session_id': '" + shown(session->id) + "' stands twice"};
    }
    return session;
  }

  JsonlReader reader_;
  bool first_ = true;
  std::unordered_set<std::string> ids_;
};

// Labels of the lines that are sessions, in their order.
std::vector<LabelOutcome> label_lines(Labeller& labeller, const std::vector<ReadLine>& lines) {
  std::vector<Session> sessions;
  for (const ReadLine& line : lines) {
    if (line.session) sessions.push_back(*line.session);
  }
  return labeller.label(sessions);
}

}  // namespace

LabelSummary label_file(const LabelFileJob& job, const LabelOptions& options,
                        const QuestionForms& forms, Extractor& extractor,
                        const std::function<void()>& on_session) {
  const FileHeader header = header_of(job, options, forms, extractor);
  require_replaceable(job.output, "learn2ask label");
  Labeller labeller(options, forms, extractor, job.overrides);
  SessionLines input(job.input);
  if (job.output.has_parent_path()) make_private_directory(job.output.parent_path());
  AtomicFile output(job.output);
  FailureLog failures(failures_path(job.output), "label", "sessions", options.max_failure_rate);
  output.write_line(dump_json(to_json(header)));

  LabelSummary summary;
  for (auto lines = input.next(extractor.batch()); !lines.empty();
       lines = input.next(extractor.batch())) {
    auto outcomes = label_lines(labeller, lines);
    auto next = outcomes.begin();
    for (const ReadLine& line : lines) {
      const LabelOutcome outcome =
          line.session ? std::move(*next++) : LabelOutcome{.session = line.session.error()};
      on_session();
      if (!outcome.session) {
        ++summary.left_out;
        failures.add(line.where, outcome.session.error().message);
        failures.end_one(true);
        continue;
      }
      for (const Error& error : outcome.extraction_errors) failures.add(line.where, error.message);
      summary.add(*outcome.session);
      output.write_line(dump_json(to_json(*outcome.session)));
      failures.end_one(!outcome.extraction_errors.empty());
    }
  }
  summary.dropped = labeller.dropped();
  summary.failed = failures.failed();
  failures.finish();
  if (summary.sessions == 0) fail_input("label: " + input.name() + ": no session in it");
  if (job.overrides != nullptr) job.overrides->refuse_unused();
  output.commit();
  return summary;
}

}  // namespace l2a
