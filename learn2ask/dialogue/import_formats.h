// The log formats that can be imported, read into one raw form: roles not yet mapped, nothing
// dropped, nothing joined.
//
//   realmedconv  JSONL: {"session_id", "messages": [{"role", "content"}], "tail"?, ...}
//   openai       JSONL: {"messages": [{"role", "content"}]}; content a text or text parts; a tool
//                call may have none
//   sharegpt     JSONL: {"conversations": [{"from", "value"}]}
//   csv          a header row, then a message a row; the rows of a session stand together
//
// The id of a JSONL session is its "session_id", "id" or "conversation_id".
//
// A JSON message may have a "time", a CSV row a time column (dialogue/timestamp.h).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace l2a {

struct RawMessage {
  std::string role;  // as the log names it
  std::string text;  // empty where the log has none (a tool call)
  std::optional<double> time_s;
  Json extra = Json::object();
};

struct RawSession {
  size_t line = 0;  // 1-based, of its record or its first row
  std::string id;   // empty where the log names none
  std::string system;
  std::vector<RawMessage> messages, tail;
  std::optional<bool> stop_seen;
  Json extra = Json::object();
};

enum class LogFormat { kRealMedConv, kOpenAi, kShareGpt, kCsv };
const char* log_format_name(LogFormat format);
// "auto" and the four names above; "auto" is no format: nullopt.
std::optional<LogFormat> log_format_from_name(const std::string& name);
inline const std::vector<std::string> kLogFormatNames = {"auto", "realmedconv", "openai",
                                                         "sharegpt", "csv"};

// The names of the columns of a CSV log.
struct CsvColumns {
  std::string session = "session", role = "role", text = "text";
  std::string time = "time";  // may be absent from the file

  template <class Visitor>
  void visit(Visitor& v) {
    v("session", session, "CSV column that names the session");
    v("role", role, "CSV column of the speaker's role");
    v("text", text, "CSV column of what was said");
    v("time", time, "CSV column of the time, if there is one");
  }
};

// Not thread-safe.
class LogReader {
 public:
  virtual ~LogReader() = default;
  // The next session; nullopt at the end. An Error ("FILE:LINE: why") for one that can't be read;
  // the reader has passed it. Throws Failure when the log can't be read further.
  virtual std::optional<Result<RawSession>> next() = 0;
};

// The format that the first record of the file shows. Throws Failure (kInvalidInput when it shows
// none, kNotFound, kIo). `name` is the file's name in messages.
LogFormat detect_log_format(const std::filesystem::path& path, const std::string& name);

// Throws Failure: kNotFound, kIo, kInvalidInput (a CSV header without a needed column).
std::unique_ptr<LogReader> open_log(const std::filesystem::path& path, const std::string& name,
                                    LogFormat format, const CsvColumns& columns);

}  // namespace l2a
