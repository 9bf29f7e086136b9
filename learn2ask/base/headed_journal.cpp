#include "base/headed_journal.h"

#include <string>

namespace l2a {

HeadedJournal::HeadedJournal(const std::filesystem::path& path, const FileHeader& header) {
  if (std::filesystem::is_directory(path)) fail_input(path.string() + ": is a folder");
  const std::string begin = dump_json({{"learn2ask", header.format}});
  const auto opening = std::string_view(begin).substr(0, begin.size() - 1);  // less the brace
  lock_ = std::make_unique<FileLock>(path);
  journal_ = std::make_unique<Journal>(path, opening);
  if (std::filesystem::file_size(path) == 0) journal_->append(dump_json(to_json(header)));
}

}  // namespace l2a
