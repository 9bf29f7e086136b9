#include "dialogue/import.h"

#include <istream>
#include <memory>
#include <unordered_map>

#include <fmt/format.h>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "dialogue/clean_session.h"
#include "dialogue/redact.h"
#include "dialogue/timestamp.h"

namespace l2a {
namespace {

// Where a session was seen first. Strings are not kept: a log may have millions of sessions.
struct Seen {
  uint64_t text_hash = 0;
  size_t input = 0, line = 0;
  Split split = Split::kTrain;
};

// One import under way.
constexpr double kYear5000 = 9.56e10;  // in seconds since 1970: no log is as late

class Importer {
 public:
  Importer(const std::vector<ImportInput>& inputs, const ImportOptions& options,
           const FileHeader& header, const std::filesystem::path& directory)
      : inputs_(inputs),
        options_(options),
        roles_(options.roles),
        directory_(directory),
        failures_(directory / "failures.jsonl") {
    if (!options.session_gap.empty()) {
      const auto gap = parse_duration(options.session_gap);
      if (!gap) fail_input("import.session_gap: " + gap.error().message);
      gap_s_ = *gap;
    }
    FileHeader named = header;
    named.format = "sessions";
    named.input_sha256 = hash_inputs();
    for (const Split split : kSplits) {
      if (split == Split::kHeldOut && options.held_out_share == 0) continue;
      const auto path = directory / (std::string(split_name(split)) + ".jsonl");
      refuse_others(path, named.input_sha256);
      outputs_.push_back(std::make_unique<AtomicFile>(path));
      named.extra["split"] = split_name(split);
      outputs_.back()->write_line(dump_json(to_json(named)));
    }
  }

  ImportReport run(const std::function<void()>& on_session) {
    for (size_t i = 0; i < inputs_.size(); ++i) read_input(i, on_session);
    if (report_.sessions_read == 0) fail_input("import: no session in the logs");
    if (gap_s_ && !timed_) fail_input("import: --session-gap was given, but no message has a time");
    stop_at_failures(1);
    if (std::all_of(report_.written.begin(), report_.written.end(),
                    [](size_t n) { return n == 0; })) {
      failures_.commit();
      fail_input("import: no session of the logs can be used");
    }
    // A report must never stand beside files that it does not describe.
    std::filesystem::remove(directory_ / "import-report.json");
    for (auto& output : outputs_) output->commit();
    failures_.commit();
    write_file_atomic(directory_ / "import-report.json", to_json(report_).dump(2) + "\n");
    return std::move(report_);
  }

 private:
  // One hash for all inputs: that of the file, or of the list of the files' hashes.
  std::string hash_inputs() {
    std::string all;
    for (const ImportInput& input : inputs_) {
      const auto chosen = log_format_from_name(options_.format);
      const LogFormat format = chosen ? *chosen : detect_log_format(input.path, input.name);
      formats_.push_back(format);
      report_.inputs.push_back({input.name, log_format_name(format), sha256_file(input.path)});
      all += report_.inputs.back().sha256 + "\n";
    }
    return inputs_.size() == 1 ? report_.inputs.front().sha256 : sha256_hex(all);
  }

  // Whatever is at `path` that is not sessions of these inputs would be lost.
  static void refuse_others(const std::filesystem::path& path, const std::string& input_sha256) {
    if (!std::filesystem::exists(path)) return;
    const auto line = JsonlReader(path).next();
    const auto header = line && *line
                            ? read_header((**line).value, "sessions", "import: " + path.string())
                            : std::nullopt;
    if (header && header->input_sha256 == input_sha256) return;
    fail_input("import: " + path.string() +
               ": is there already, and not of these logs (give another --out)");
  }

  void read_input(size_t index, const std::function<void()>& on_session) {
    const ImportInput& input = inputs_[index];
    const auto log = open_log(input.path, input.name, formats_[index], options_.csv);
    while (auto raw = log->next()) {
      ++report_.sessions_read;
      if (*raw) {
        take(std::move(**raw), index);
      } else {
        add_failure(raw->error());
      }
      stop_at_failures(kFailureWindow);
      on_session();
    }
  }

  std::string place(size_t input, size_t line) const {
    return inputs_[input].name + ":" + std::to_string(line);
  }

  // Of a session that has none, or none that may be kept: no two inputs make up the same.
  std::string made_up_id(size_t input, size_t line) const {
    const std::string stem = inputs_[input].path.stem().string();
    const auto begin = inputs_.begin(), here = begin + static_cast<std::ptrdiff_t>(input);
    const auto earlier = std::count_if(
        begin, here, [&](const ImportInput& other) { return other.path.stem() == stem; });
    return stem + (earlier > 0 ? "-" + std::to_string(earlier + 1) : "") + "-" +
           std::to_string(line);
  }

  void take(RawSession raw, size_t input) {
    const bool is_secret = options_.redact && Redactor().redact(raw.id) != raw.id;
    if (raw.id.empty() || is_secret) raw.id = made_up_id(input, raw.line);
    for (const RawMessage& message : raw.messages) timed_ = timed_ || message.time_s.has_value();
    std::vector<RawSession> parts;
    if (gap_s_) {
      const auto late = std::find_if(raw.messages.begin(), raw.messages.end(), [](const auto& m) {
        return m.time_s && *m.time_s >= kYear5000;
      });
      if (late != raw.messages.end()) {
        add_failure({ErrorCode::kInvalidInput,
                     fmt::format("{}: session '{}': time {:.0f}: expected seconds since 1970 "
                                 "(milliseconds?)",
                                 place(input, raw.line), shown(raw.id), *late->time_s)});
        return;
      }
      parts = cut_at_gaps(std::move(raw), *gap_s_);
    } else {
      parts.push_back(std::move(raw));
    }
    for (size_t i = 0; i < parts.size(); ++i) {
      const size_t line = parts[i].line;
      const std::string where = place(input, line);
      if (i > 0) {
        ++report_.sessions_read;
        report_.gaps.add(where + ": session '" + shown(parts[i].id) + "'");
      }
      auto session = clean_session(std::move(parts[i]), roles_, where, report_);
      if (!session) {
        add_failure(session.error());
        continue;
      }
      const auto alone = only_speaker(*session);
      if (!alone) {
        keep(std::move(*session), input, line);
        continue;
      }
      const std::string note = fmt::format("{}: session '{}': only the {} says anything", where,
                                           shown(session->id), role_name(*alone));
      if (parts.size() > 1) {
        report_.one_sided_parts.add(note);
      } else {
        add_failure({ErrorCode::kInvalidInput, note});
      }
    }
  }

  // A given split stays what it is, but that train may hold some out.
  Split split_for(std::optional<Split> given, uint64_t hash) const {
    if (!given) {
      return split_of(hash, {options_.dev_share, options_.test_share, options_.held_out_share});
    }
    if (*given != Split::kTrain) return *given;
    return split_of(hash, {.held_out = options_.held_out_share});
  }

  void keep(Session session, size_t input, size_t line) {
    const std::string where = place(input, line);
    const bool is_csv = formats_[input] == LogFormat::kCsv;
    if (options_.redact) {
      redact_session(session, is_csv ? options_.csv.time : "time", report_);
    }
    const uint64_t hash = text_hash(session);
    const std::optional<Split> given = inputs_[input].split;
    const Split split = split_for(given, hash);
    const Seen now{hash, input, line, split};

    // Files that are given as splits may each count their sessions from 1.
    const std::string scope = given ? split_name(*given) : "";
    const auto [same_id, new_id] = ids_.try_emplace(stable_hash(scope + ":" + session.id), now);
    if (!new_id) {
      const Seen& first = same_id->second;
      const std::string first_place = place(first.input, first.line);
      if (first.text_hash != hash) {
        fail_input(where + ": session id '" + shown(session.id) +
                   "' was given to another session at " + first_place +
                   (is_csv ? " (the rows of a session stand together in a CSV log: sort it by "
                             "session)"
                           : ""));
      }
      report_.repeated_records.add(where + ": same id and text as " + first_place);
      return;
    }
    const auto [same_text, new_text] = texts_.try_emplace(hash, now);
    if (!new_text) {
      const Seen& first = same_text->second;
      const std::string note = where + ": same text as " + place(first.input, first.line);
      (first.split == split ? report_.repeated_texts : report_.straddling_texts).add(note);
    }
    ++report_.written[static_cast<size_t>(split)];
    report_.messages_written += session.messages.size() + session.tail.size();
    report_.messages_merged += session.messages.size() - turns_of(session).size();
    outputs_[static_cast<size_t>(split)]->write_line(dump_json(to_json(session)));
  }

  // What is wrong may be quoted from the log.
  void add_failure(const Error& error) {
    const std::string said = options_.redact ? Redactor().redact(error.message) : error.message;
    report_.failures.add(said);
    failures_.write_line(dump_json(Json{{"error", said}}));
  }

  void stop_at_failures(size_t at_least) {
    const double limit = options_.max_failure_rate * static_cast<double>(report_.sessions_read);
    if (report_.sessions_read < at_least) return;
    if (static_cast<double>(report_.failures.count) <= limit) return;
    failures_.commit();
    fail_input(
        fmt::format("import: {} of {} sessions can't be used (import.max_failure_rate = {}), "
                    "first {} (all are in {})",
                    report_.failures.count, report_.sessions_read, options_.max_failure_rate,
                    report_.failures.examples.front(), (directory_ / "failures.jsonl").string()));
  }

  const std::vector<ImportInput>& inputs_;
  const ImportOptions& options_;
  const RoleMap roles_;
  const std::filesystem::path directory_;
  AtomicFile failures_;
  std::vector<std::unique_ptr<AtomicFile>> outputs_;  // by Split
  std::vector<LogFormat> formats_;                    // by input
  std::optional<double> gap_s_;
  bool timed_ = false;  // some message had a time
  std::unordered_map<uint64_t, Seen> ids_, texts_;
  ImportReport report_;
};

Json to_json(const Tally& tally) { return {{"count", tally.count}, {"first", tally.examples}}; }

}  // namespace

void Tally::add(const std::string& example) {
  if (++count <= kMaxExamples) examples.push_back(example);
}

Json to_json(const ImportReport& report) {
  Json inputs = Json::array(), written = Json::object();
  for (const auto& input : report.inputs) {
    inputs.push_back({{"name", input.name}, {"format", input.format}, {"sha256", input.sha256}});
  }
  for (const Split split : kSplits) {
    written[split_name(split)] = report.written[static_cast<size_t>(split)];
  }
  return {{"inputs", inputs},
          {"sessions_read", report.sessions_read},
          {"sessions_written", written},
          {"sessions_begun_after_a_gap", to_json(report.gaps)},
          {"sessions_between_gaps_left_out", to_json(report.one_sided_parts)},
          {"sessions_repeated_with_their_id", to_json(report.repeated_records)},
          {"sessions_repeated_under_another_id", to_json(report.repeated_texts)},
          {"sessions_in_two_given_splits", to_json(report.straddling_texts)},
          {"sessions_failed", to_json(report.failures)},
          {"messages_read", report.messages_read},
          {"messages_written", report.messages_written},
          {"messages_merged_into_the_turn_before", report.messages_merged},
          {"messages_empty", to_json(report.empty_messages)},
          {"messages_of_the_system", to_json(report.system_messages)},
          {"messages_of_tools", to_json(report.tool_messages)},
          {"redacted",
           {{"emails", report.redacted[static_cast<size_t>(Secret::kEmail)]},
            {"phones", report.redacted[static_cast<size_t>(Secret::kPhone)]},
            {"cards", report.redacted[static_cast<size_t>(Secret::kCard)]}}}};
}

std::string summary_of(const ImportReport& report) {
  std::string out;
  for (const auto& input : report.inputs) {
    out += fmt::format("read      {} ({})\n", input.name, input.format);
  }
  const auto& [train, dev, test, held_out] = report.written;
  out += fmt::format("sessions  {} read, {} written: train {}, dev {}, test {}",
                     report.sessions_read, train + dev + test + held_out, train, dev, test);
  out += held_out > 0 ? fmt::format(", held out of train {}\n", held_out) : "\n";
  out +=
      fmt::format("messages  {} read, {} written\n", report.messages_read, report.messages_written);
  if (report.messages_merged > 0) {
    out += fmt::format("          {} joined to the message before, by the same side\n",
                       report.messages_merged);
  }
  const auto line = [&](const Tally& tally, const char* what) {
    if (tally.count == 0) return;
    out += fmt::format("          {} {}, first {}\n", tally.count, what, tally.examples.front());
  };
  line(report.empty_messages, "empty messages dropped");
  line(report.system_messages, "system messages kept apart");
  line(report.tool_messages, "tool messages kept apart");
  line(report.gaps, "sessions begun after a gap");
  line(report.one_sided_parts, "sessions between gaps, of one side alone, left out");
  line(report.repeated_records, "sessions repeated with their id, written once");
  line(report.repeated_texts, "sessions with the text of another, kept in its split");
  line(report.straddling_texts, "sessions whose text is in two of the given splits");
  if (report.redacted != std::array<size_t, 3>{}) {
    out += fmt::format("redacted  {} e-mail addresses, {} phone numbers, {} card numbers\n",
                       report.redacted[0], report.redacted[1], report.redacted[2]);
  }
  line(report.failures, "sessions can't be used");
  return out;
}

ImportReport import_logs(const std::vector<ImportInput>& inputs, const ImportOptions& options,
                         const FileHeader& header, const std::filesystem::path& directory,
                         const std::function<void()>& on_session) {
  return Importer(inputs, options, header, directory).run(on_session);
}

std::filesystem::path spool_input(std::istream& in, const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "stdin";
  if (in.peek() == std::istream::traits_type::eof()) {
    if (!in.bad() && std::filesystem::exists(path)) return path;
    fail_input("standard input: empty");
  }
  AtomicFile copy(path);
  char chunk[1 << 16];
  while (in.read(chunk, sizeof chunk) || in.gcount() > 0) {
    copy.write(std::string_view(chunk, static_cast<size_t>(in.gcount())));
  }
  throw_if_interrupted();  // which ends the input too
  if (in.bad()) fail(ErrorCode::kIo, "standard input: reading failed");
  copy.commit();
  return path;
}

}  // namespace l2a
