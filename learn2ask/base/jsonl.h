// JSON Lines: streaming reader, and the header line that every derived file starts with.
#pragma once

#include <filesystem>
#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace l2a {

inline constexpr size_t kMaxLineBytes = 16 << 20;

struct JsonLine {
  size_t number = 0;  // 1-based line in the file
  Json value;
};

// Reads lines one at a time; memory stays at one line, at most kMaxLineBytes.
//
// Blank lines are passed over. A carriage return before the newline is dropped, and a UTF-8
// byte order mark at the start. Not thread-safe.
class JsonlReader {
 public:
  // Opens `path`. Throws Failure (kNotFound, kIo).
  explicit JsonlReader(const std::filesystem::path& path);
  // Reads from `in`, named `name` in messages. `in` must outlive the reader.
  JsonlReader(std::istream& in, std::string name);

  // The next line; nullopt at the end. An Error ("FILE:LINE: why") for a line that is too
  // long or is not a JSON object; the reader has passed it and can go on with the next.
  // Throws Failure (kIo) when reading itself fails.
  std::optional<Result<JsonLine>> next();
  // The same for lines that may hold any JSON value.
  std::optional<Result<JsonLine>> next_value();

  const std::string& name() const { return name_; }

 private:
  std::unique_ptr<std::istream> owned_;
  std::istream* in_ = nullptr;
  std::string name_;
  size_t line_ = 0;
};

// First line of every derived file: {"learn2ask": FORMAT, "version": N, "command": ...,
// "config_sha256": ..., "input_sha256": ...}.
struct FileHeader {
  std::string format;  // e.g. "sessions", "labels"
  int version = 1;
  std::string command = {};        // as typed, without paths' contents
  std::string config_sha256 = {};  // of the resolved configuration's text
  std::string input_sha256 = {};   // of the input file's bytes
  Json extra = Json::object();     // anything else worth keeping, e.g. prompt hashes
};
Json to_json(const FileHeader& header);
// The header in `line`, or nullopt when it is no header (a user's own file has none).
// Throws Failure when it is one of another format or of a newer version, naming `where`.
std::optional<FileHeader> read_header(const Json& line, const std::string& format,
                                      const std::string& where);

// Throws Failure (kInvalidInput) where writing to `path` would replace what `command` ("learn2ask
// label") did not write itself: a file that is there already, unless it is empty or its header says
// that a command of that name wrote it.
void require_replaceable(const std::filesystem::path& path, const std::string& command);

// Calls `row` for each line of a derived or user-made JSONL file after its header (if any). Throws
// Failure ("FILE:LINE: why") at the first line that can't be read or for which `row` throws one.
std::optional<FileHeader> for_each_row(const std::filesystem::path& path, const std::string& format,
                                       const std::function<void(JsonLine&&)>& row);

}  // namespace l2a
