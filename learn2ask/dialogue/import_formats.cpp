#include "dialogue/import_formats.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string_view>

#include "base/json_array.h"
#include "base/jsonl.h"
#include "base/utf8.h"
#include "dialogue/csv.h"
#include "dialogue/timestamp.h"

namespace l2a {
namespace {

Error bad(const std::string& why) { return {ErrorCode::kInvalidInput, why}; }

std::ifstream open_file(const std::filesystem::path& path, const std::string& name) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) fail(ErrorCode::kNotFound, name + ": no such file");
  if (std::filesystem::is_directory(path)) fail(ErrorCode::kIo, name + ": is a directory");
  std::ifstream in(path, std::ios::binary);
  if (!in) fail(ErrorCode::kIo, name + ": cannot be opened for reading");
  return in;
}

// After a byte order mark and white space; nullopt where nothing follows. Read from the start,
// where `in` is afterwards.
std::optional<char> first_character(std::istream& in) {
  std::optional<char> first;
  for (char c; !first && in.get(c);) {
    if (std::string_view("\xEF\xBB\xBF \t\r\n").find(c) == std::string_view::npos) first = c;
  }
  in.clear();
  in.seekg(0);
  return first;
}

// The objects of a file: one a line, or those of one array.
class JsonRecords {
 public:
  JsonRecords(const std::filesystem::path& path, const std::string& name)
      : file_(open_file(path, name)), name_(name) {
    if (first_character(file_) == '[') {
      array_.emplace(file_, name);
    } else {
      lines_.emplace(file_, name);
    }
  }
  JsonRecords(const JsonRecords&) = delete;
  JsonRecords& operator=(const JsonRecords&) = delete;

  std::optional<Result<JsonLine>> next() { return array_ ? array_->next() : lines_->next(); }
  const std::string& name() const { return name_; }

 private:
  std::ifstream file_;
  std::string name_;
  std::optional<JsonArrayReader> array_;
  std::optional<JsonlReader> lines_;
};

// A JSON key, as each format names it.
struct JsonKeys {
  const char* messages;
  const char* role;
  const char* text;
};

JsonKeys keys_of(LogFormat format) {
  return format == LogFormat::kShareGpt ? JsonKeys{"conversations", "from", "value"}
                                        : JsonKeys{"messages", "role", "content"};
}

// OpenAI's content: a text, null or absent (a tool call), or parts of which only texts can be
// taken.
Result<std::string> text_of(const Json& message, const std::string& key) {
  const auto found = message.find(key);
  const bool calls = message.contains("tool_calls") || message.contains("function_call");
  if (found == message.end() && calls) return std::string();
  if (found == message.end() || found->is_string()) return get_string(message, key);
  if (found->is_null()) return std::string();
  if (!found->is_array()) {
    return bad("'" + key + "': expected a string, got " + type_phrase(*found));
  }
  std::string text;
  for (const Json& part : *found) {
    const auto type = get_string(part, "type");
    if (!type) return bad("'" + key + "': " + type.error().message);
    if (*type != "text") return bad("'" + key + "': a part of type '" + shown(*type) + "'");
    const auto piece = get_string(part, "text");
    if (!piece) return bad("'" + key + "': " + piece.error().message);
    if (!text.empty()) text += '\n';
    text += *piece;
  }
  return text;
}

Result<std::optional<double>> time_of(const Json& message) {
  const auto found = message.find("time");
  if (found == message.end() || found->is_null()) return std::optional<double>();
  if (found->is_number()) return std::optional<double>(found->get<double>());
  const auto text = get_string(message, "time");
  if (!text) return text.error();
  const auto seconds = parse_timestamp(*text);
  if (!seconds) return bad("'time': " + seconds.error().message);
  return std::optional<double>(*seconds);
}

Result<RawMessage> read_message(const Json& json, const JsonKeys& keys) {
  auto role = get_string(json, keys.role);
  if (!role) return role.error();
  auto text = text_of(json, keys.text);
  if (!text) return text.error();
  const auto time = time_of(json);
  if (!time) return time.error();
  RawMessage message{std::move(*role), std::move(*text), *time, json};
  message.extra.erase(keys.role);
  message.extra.erase(keys.text);
  return message;
}

Result<std::vector<RawMessage>> read_messages(const Json& record, const std::string& list,
                                              const JsonKeys& keys) {
  const auto found = record.find(list);
  if (found == record.end()) return bad("'" + list + "': missing");
  if (!found->is_array()) {
    return bad("'" + list + "': expected an array, got " + type_phrase(*found));
  }
  std::vector<RawMessage> messages;
  for (const Json& item : *found) {
    auto message = read_message(item, keys);
    if (!message) {
      return bad("'" + list + "'[" + std::to_string(messages.size()) +
                 "]: " + message.error().message);
    }
    messages.push_back(std::move(*message));
  }
  return messages;
}

// The key that names the session; nullptr when the record has none.
const char* id_key(const Json& record) {
  for (const char* key : {"session_id", "id", "conversation_id"}) {
    if (record.contains(key)) return key;
  }
  return nullptr;
}

Result<std::string> read_id(const Json& record, const char* key) {
  const Json& id = record[key];
  if (id.is_number_integer()) return dump_json(id);
  if (!id.is_string()) {
    return bad("'" + std::string(key) + "': expected a string or a whole number, got " +
               type_phrase(id));
  }
  if (trim(id.get_ref<const std::string&>()).empty())
    return bad("'" + std::string(key) + "': blank");
  return id.get_ref<const std::string&>();
}

Result<RawSession> read_record(const Json& record, size_t line, LogFormat format) {
  const JsonKeys keys = keys_of(format);
  RawSession session{.line = line,
                     .id = {},
                     .system = {},
                     .messages = {},
                     .tail = {},
                     .stop_seen = {},
                     .extra = record};
  const char* id = id_key(record);
  if (!id && format == LogFormat::kRealMedConv) return bad("'session_id': missing");
  if (id) {
    auto text = read_id(record, id);
    if (!text) return text.error();
    session.id = std::move(*text);
    session.extra.erase(id);
  }
  auto system = get_string_or(record, "system", "");
  if (!system) return system.error();
  session.system = std::move(*system);
  auto messages = read_messages(record, keys.messages, keys);
  if (!messages) return messages.error();
  session.messages = std::move(*messages);
  if (record.contains("tail")) {
    auto tail = read_messages(record, "tail", keys);
    if (!tail) return tail.error();
    session.tail = std::move(*tail);
  }
  if (record.contains("stop_seen")) {
    const auto seen = get_bool_or(record, "stop_seen", false);
    if (!seen) return seen.error();
    session.stop_seen = *seen;
  }
  for (const char* key : {"system", keys.messages, "tail", "stop_seen"}) session.extra.erase(key);
  return session;
}

class JsonLog final : public LogReader {
 public:
  JsonLog(const std::filesystem::path& path, const std::string& name, LogFormat format)
      : records_(path, name), format_(format) {}

  std::optional<Result<RawSession>> next() override {
    auto line = records_.next();
    if (!line) return std::nullopt;
    const bool first = std::exchange(first_, false);
    if (!*line) return line->error();
    const std::string where = records_.name() + ":" + std::to_string((*line)->number);
    if (first && read_header((*line)->value, "sessions", where)) return next();
    auto session = read_record((*line)->value, (*line)->number, format_);
    if (!session) return bad(where + ": " + session.error().message);
    return session;
  }

 private:
  JsonRecords records_;
  LogFormat format_;
  bool first_ = true;
};

// A row that can't be read spoils the session around it; where the session changes at that row,
// both neighbours, since it may have belonged to either.
class CsvLog final : public LogReader {
 public:
  CsvLog(const std::filesystem::path& path, const std::string& name, const CsvColumns& columns)
      : file_(open_file(path, name)), rows_(file_, name), name_(name) {
    auto header = rows_.next();
    if (!header) fail_input(name + ": empty");
    fields_ = std::move(*header).value_or_throw().fields;
    session_ = column(columns.session);
    role_ = column(columns.role);
    text_ = column(columns.text);
    const auto time = std::find(fields_.begin(), fields_.end(), columns.time);
    if (time != fields_.end()) time_ = static_cast<size_t>(time - fields_.begin());
  }

  std::optional<Result<RawSession>> next() override {
    while (auto row = rows_.next()) {
      if (*row && (*row)->fields.size() != fields_.size()) {
        *row = bad(place((*row)->line) + "expected " + std::to_string(fields_.size()) +
                   " fields, got " + std::to_string((*row)->fields.size()));
      }
      if (!*row) {
        if (!spoilt_) spoilt_ = row->error();
        unplaced_ = row->error();
        continue;
      }
      auto finished = take(std::move(**row));
      if (finished) return finished;
    }
    return finish();
  }

 private:
  std::string place(size_t line) const { return name_ + ":" + std::to_string(line) + ": "; }

  size_t column(const std::string& wanted) const {
    const auto found = std::find(fields_.begin(), fields_.end(), wanted);
    if (found == fields_.end()) {
      fail_input(name_ + ":1: no column '" + wanted + "' (name it with import.csv.*)");
    }
    return static_cast<size_t>(found - fields_.begin());
  }

  // Adds the row to the open session, or gives that back and opens the next.
  std::optional<Result<RawSession>> take(CsvRow row) {
    std::optional<Result<RawSession>> finished;
    const std::string& id = row.fields[session_];
    if (!open_ || id != open_->id) {
      if (open_) finished = finish();
      open_ = RawSession{
          .line = row.line, .id = id, .system = {}, .messages = {}, .tail = {}, .stop_seen = {}};
      bytes_ = 0;
      spoilt_ = unplaced_;
      if (trim(id).empty() && !spoilt_) spoilt_ = bad(place(row.line) + "no session");
    }
    unplaced_.reset();
    for (const std::string& field : row.fields) bytes_ += field.size();
    if (bytes_ > kMaxLineBytes) {  // as long as a JSONL session may be
      if (!spoilt_)
        spoilt_ = bad(place(row.line) + "session longer than " +
                      std::to_string(kMaxLineBytes >> 20) + " MiB");
      open_->messages.clear();
      return finished;
    }
    RawMessage message{std::move(row.fields[role_]), std::move(row.fields[text_]), {}};
    for (size_t i = 0; i < fields_.size(); ++i) {
      if (i == session_ || i == role_ || i == text_) continue;
      message.extra[fields_[i]] = row.fields[i];
      if (i != time_ || trim(row.fields[i]).empty()) continue;
      const auto seconds = parse_timestamp(row.fields[i]);
      if (seconds) {
        message.time_s = *seconds;
      } else if (!spoilt_) {
        spoilt_ = bad(place(row.line) + seconds.error().message);
      }
    }
    open_->messages.push_back(std::move(message));
    return finished;
  }

  // The open session, or why it can't be used; nullopt when none is open and nothing went wrong.
  std::optional<Result<RawSession>> finish() {
    const auto spoilt = std::exchange(spoilt_, std::nullopt);
    auto session = std::exchange(open_, std::nullopt);
    if (spoilt) return *spoilt;
    if (!session) return std::nullopt;
    return std::move(*session);
  }

  std::ifstream file_;
  CsvReader rows_;
  std::string name_;
  std::vector<std::string> fields_;
  size_t session_ = 0, role_ = 0, text_ = 0;
  std::optional<size_t> time_;
  std::optional<RawSession> open_;
  size_t bytes_ = 0;               // of the open session
  std::optional<Error> spoilt_;    // why the open session can't be used
  std::optional<Error> unplaced_;  // of a bad row since the last good one
};

}  // namespace

const char* log_format_name(LogFormat format) {
  return kLogFormatNames[static_cast<size_t>(format) + 1].c_str();
}

std::optional<LogFormat> log_format_from_name(const std::string& name) {
  const auto found = std::find(kLogFormatNames.begin(), kLogFormatNames.end(), name);
  check(found != kLogFormatNames.end(), "a log format without a name");
  if (found == kLogFormatNames.begin()) return std::nullopt;
  return static_cast<LogFormat>(found - kLogFormatNames.begin() - 1);
}

LogFormat detect_log_format(const std::filesystem::path& path, const std::string& name) {
  std::ifstream file = open_file(path, name);
  const auto first = first_character(file);
  if (!first) fail_input(name + ": empty");
  if (*first != '{' && *first != '[') return LogFormat::kCsv;
  JsonRecords records(path, name);
  while (auto line = records.next()) {
    if (!*line) continue;  // a failure, as a record of no format is: counted when it is read
    const Json& record = (*line)->value;
    if (record.contains("learn2ask")) return LogFormat::kRealMedConv;
    if (record.contains("conversations")) return LogFormat::kShareGpt;
    if (record.contains("messages")) {
      return record.contains("session_id") ? LogFormat::kRealMedConv : LogFormat::kOpenAi;
    }
  }
  fail_input(name +
             ": unknown format: no record has 'messages' or 'conversations' (say which with "
             "--format)");
}

std::unique_ptr<LogReader> open_log(const std::filesystem::path& path, const std::string& name,
                                    LogFormat format, const CsvColumns& columns) {
  if (format == LogFormat::kCsv) return std::make_unique<CsvLog>(path, name, columns);
  return std::make_unique<JsonLog>(path, name, format);
}

}  // namespace l2a
