#include "base/headed_journal.h"

#include <fstream>

namespace l2a {
namespace {

// The first line of a file, without its newline; `whole`: it has one.
struct FirstLine {
  std::string text;
  bool whole = false;
};

FirstLine first_line(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) fail(ErrorCode::kIo, path.string() + ": cannot be read");
  FirstLine line;
  for (char c; in.get(c);) {
    if (c == '\n') {
      line.whole = true;
      break;
    }
    line.text += c;
    if (line.text.size() > kMaxLineBytes) break;
  }
  return line;
}

// Opening a journal cuts a torn last line off. That must not happen to a file of another kind.
void refuse_foreign(const std::filesystem::path& path, const std::string& format) {
  if (std::filesystem::is_directory(path)) fail_input(path.string() + ": is a folder");
  if (!std::filesystem::exists(path) || std::filesystem::file_size(path) == 0) return;
  const FirstLine line = first_line(path);
  const std::string begin = dump_json({{"learn2ask", format}});
  const auto opening = std::string_view(begin).substr(0, begin.size() - 1);  // less the brace
  const size_t alike = std::min(opening.size(), line.text.size());
  const bool begins = line.text.compare(0, alike, opening, 0, alike) == 0;
  if (begins && (!line.whole || alike == opening.size())) return;
  fail_input(path.string() + ": no file of " + format + " that this program began");
}

}  // namespace

HeadedJournal::HeadedJournal(const std::filesystem::path& path, const FileHeader& header) {
  refuse_foreign(path, header.format);
  lock_ = std::make_unique<FileLock>(path);
  journal_ = std::make_unique<Journal>(path);
  if (std::filesystem::file_size(path) == 0) journal_->append(dump_json(to_json(header)));
}

}  // namespace l2a
