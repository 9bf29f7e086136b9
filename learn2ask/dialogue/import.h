// Import: logs of any known format in, sessions files for training out.
//
// Maps roles, drops empty messages, keeps system and tool messages apart, starts a new session
// after a long silence, redacts, finds repeated sessions, and splits by session. Everything that
// was left out is counted with its line. The formats are read by import_formats.h.
#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/jsonl.h"
#include "dialogue/import_formats.h"
#include "dialogue/split.h"

namespace l2a {

// What the log's roles mean; letter case does not count.
struct RoleNames {
  std::vector<std::string> user = {"user", "human", "patient", "client", "customer"};
  std::vector<std::string> assistant = {"assistant", "gpt", "expert", "doctor", "agent"};
  std::vector<std::string> system = {"system", "developer"};
  std::vector<std::string> tool = {"tool", "function", "function_call", "observation"};

  template <class Visitor>
  void visit(Visitor& v) {
    v("user", user, "roles of who is asked");
    v("assistant", assistant, "roles of the expert, who asks");
    v("system", system, "roles of instructions: kept apart");
    v("tool", tool, "roles of tool calls and results: kept apart");
  }
};

struct ImportOptions {
  std::string format = "auto";
  std::string session_gap;  // empty: a log's sessions are taken as they are
  bool redact = false;
  double dev_share = 0.1, test_share = 0.1;  // train gets the rest
  double held_out_share = 0;                 // of train, also of one that is given
  double max_failure_rate = 0.05;
  RoleNames roles;
  CsvColumns csv;

  template <class Visitor>
  void visit(Visitor& v) {
    v.choice("format", format, kLogFormatNames, "format of the logs");
    v("session_gap", session_gap, "silence that starts a new session, such as 30m; '' for none");
    v("redact", redact, "replace e-mail addresses, phone and card numbers");
    v("dev_share", dev_share, Range{0, 0.5}, "share of the sessions for choosing");
    v("test_share", test_share, Range{0, 0.5}, "share of the sessions for the final figures");
    v("held_out_share", held_out_share, Range{0, 0.5},
      "share of train set apart in held_out.jsonl, to stop and choose training by");
    v("max_failure_rate", max_failure_rate, Range{0, 1},
      "stop when a larger share of the sessions can't be used");
    v.group("roles", roles);
    v.group("csv", csv);
  }
};

struct ImportInput {
  std::filesystem::path path;
  std::string name;            // in messages and in the report
  std::optional<Split> split;  // given: its sessions stay there (or in what train holds out)
};

// How often something happened, and where first.
struct Tally {
  static constexpr size_t kMaxExamples = 20;
  size_t count = 0;
  std::vector<std::string> examples;  // "FILE:LINE: ...", at most kMaxExamples
  void add(const std::string& example);
};

// Once so many sessions were read, the failure rate counts; before, only at the end.
inline constexpr size_t kFailureWindow = 200;

struct ImportReport {
  struct Input {
    std::string name, format, sha256;
  };
  std::vector<Input> inputs;
  size_t sessions_read = 0, messages_read = 0;
  std::array<size_t, 4> written{};  // sessions, by Split
  size_t messages_written = 0;      // tails included
  size_t messages_merged = 0;       // say more in the turn of the message before them
  Tally empty_messages, system_messages, tool_messages;
  Tally gaps;                        // sessions begun by --session-gap
  Tally one_sided_parts;             // between gaps, without a conversation: left out
  Tally repeated_records;            // same id, same text: written once
  Tally repeated_texts;              // another id, same text: written, all to one split
  Tally straddling_texts;            // same text in two splits that were given
  std::array<size_t, 3> redacted{};  // by Secret
  Tally failures;
};
Json to_json(const ImportReport& report);
// The same for people, a line each, only what happened.
std::string summary_of(const ImportReport& report);

// Writes train.jsonl, dev.jsonl, test.jsonl, held_out.jsonl (when a share is held out),
// failures.jsonl and, last, import-report.json into `directory`. The files of sessions appear when
// all is read; the same inputs and options give the same bytes. Sessions of the same inputs that
// are there are replaced; of others, or a log, nothing is. `header` gives the command and the
// configuration's hash. `on_session` is called after each session read; it may throw. Throws
// Failure: kNotFound, kIo, kInvalidInput (an id given to two different sessions; too many failures,
// which failures.jsonl then lists; nothing to import; a file there that is not of these inputs).
ImportReport import_logs(
    const std::vector<ImportInput>& inputs, const ImportOptions& options, const FileHeader& header,
    const std::filesystem::path& directory, const std::function<void()>& on_session = [] {});

// Copies `in` into `directory`, so that its hash is known before it is read and a killed import
// can go on without it: an empty `in` leaves an earlier copy as it is. Returns the copy's path.
// Throws Failure: kIo, kInvalidInput when there is neither input nor an earlier copy.
std::filesystem::path spool_input(std::istream& in, const std::filesystem::path& directory);

}  // namespace l2a
