#include "base/jsonl.h"

#include <fstream>

#include "base/utf8.h"

namespace l2a {
namespace {

constexpr int kFileVersion = 1;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string place(const std::string& name, size_t line) {
  return name + ":" + std::to_string(line) + ": ";
}

enum class LineEnd { kLine, kTooLong, kEndOfFile };

// Reads up to and without the next newline. A line over the limit is read to its end, but
// only its beginning is kept.
LineEnd read_line(std::istream& in, const std::string& name, std::string& line) {
  char chunk[1 << 14];
  bool any = false, too_long = false;
  line.clear();
  for (;;) {
    in.getline(chunk, sizeof chunk);
    if (in.bad()) fail(ErrorCode::kIo, name + ": reading failed");
    const auto count = static_cast<size_t>(in.gcount());
    const bool ended = !in.eof() && !in.fail();  // at a newline, which is counted, not stored
    const size_t stored = ended ? count - 1 : count;
    any = any || count > 0;
    if (line.size() + stored > kMaxLineBytes) {
      too_long = true;
    } else {
      line.append(chunk, stored);
    }
    if (!ended && in.fail() && !in.eof()) {  // the chunk is full
      in.clear();
      continue;
    }
    if (!any) return LineEnd::kEndOfFile;
    return too_long ? LineEnd::kTooLong : LineEnd::kLine;
  }
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == line.npos; }

}  // namespace

JsonlReader::JsonlReader(const std::filesystem::path& path) : name_(path.string()) {
  if (!std::filesystem::exists(path)) fail(ErrorCode::kNotFound, name_ + ": no such file");
  if (std::filesystem::is_directory(path)) fail(ErrorCode::kIo, name_ + ": is a directory");
  owned_ = std::make_unique<std::ifstream>(path, std::ios::binary);
  if (!*owned_) fail(ErrorCode::kIo, name_ + ": cannot be opened for reading");
  in_ = owned_.get();
}

JsonlReader::JsonlReader(std::istream& in, std::string name) : in_(&in), name_(std::move(name)) {}

std::optional<Result<JsonLine>> JsonlReader::next() {
  auto line = next_value();
  if (line && *line && !(**line).value.is_object()) {
    return Error{ErrorCode::kInvalidInput, place(name_, line_) + "expected a JSON object"};
  }
  return line;
}

std::optional<Result<JsonLine>> JsonlReader::next_value() {
  std::string line;
  for (;;) {
    const LineEnd end = read_line(*in_, name_, line);
    if (end == LineEnd::kEndOfFile) return std::nullopt;
    ++line_;
    if (end == LineEnd::kTooLong) {
      return Error{ErrorCode::kInvalidInput, place(name_, line_) + "line longer than " +
                                                 std::to_string(kMaxLineBytes >> 20) + " MiB"};
    }
    if (line_ == 1 && line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
    if (!is_blank(line)) break;
  }
  if (line.ends_with('\r')) line.pop_back();
  auto value = parse_json(line);
  if (!value) return Error{value.error().code, place(name_, line_) + value.error().message};
  return JsonLine{line_, std::move(*value)};
}

Json to_json(const FileHeader& header) {
  Json line = {{"learn2ask", header.format},
               {"version", header.version},
               {"command", header.command},
               {"config_sha256", header.config_sha256},
               {"input_sha256", header.input_sha256}};
  line.update(header.extra);
  return line;
}

std::optional<FileHeader> read_header(const Json& line, const std::string& format,
                                      const std::string& where) {
  if (!line.is_object() || !line.contains("learn2ask")) return std::nullopt;
  const auto text = [&](const char* key) {
    auto value = get_string(line, key);
    if (!value) fail_input(where + ": header: " + value.error().message);
    return std::move(*value);
  };
  FileHeader header;
  header.format = text("learn2ask");
  if (header.format != format) {
    fail_input(where + ": expected a file of '" + format + "', got one of '" +
               shown(header.format) + "'");
  }
  const auto version = get_number(line, "version");
  if (!version) fail_input(where + ": header: " + version.error().message);
  if (*version > kFileVersion) {
    fail_input(where + ": made by a newer version of this program (file version " +
               dump_json(line["version"]) + ", known up to " + std::to_string(kFileVersion) + ")");
  }
  header.version = static_cast<int>(*version);
  header.command = text("command");
  header.config_sha256 = text("config_sha256");
  header.input_sha256 = text("input_sha256");
  header.extra = line;
  for (const char* key : {"learn2ask", "version", "command", "config_sha256", "input_sha256"}) {
    header.extra.erase(key);
  }
  return header;
}

void require_replaceable(const std::filesystem::path& path, const std::string& command) {
  std::error_code is_no_file;
  const auto size = std::filesystem::file_size(path, is_no_file);
  if (is_no_file || size == 0) return;  // whether it can be written is seen when it is opened
  const auto line = JsonlReader(path).next();
  if (line && *line && (**line).value.contains("learn2ask")) {
    const auto wrote = get_string((**line).value, "command");
    if (wrote && (*wrote + " ").starts_with(command + " ")) return;
  }
  fail_input(path.string() + ": is there already, and not from " + command +
             "; it is not overwritten (give another --out)");
}

std::optional<FileHeader> for_each_row(const std::filesystem::path& path, const std::string& format,
                                       const std::function<void(JsonLine&&)>& row) {
  JsonlReader reader(path);
  std::optional<FileHeader> header;
  bool first = true;
  while (auto line = reader.next()) {
    JsonLine value = std::move(*line).value_or_throw();
    if (std::exchange(first, false)) {
      header = read_header(value.value, format, reader.name() + ":" + std::to_string(value.number));
      if (header) continue;
    }
    const size_t number = value.number;
    try {
      row(std::move(value));
    } catch (const Failure& failure) {
      fail(failure.error.code,
           reader.name() + ":" + std::to_string(number) + ": " + failure.error.message);
    }
  }
  return header;
}

}  // namespace l2a
