// A journal that begins with a header line and belongs to one process: an append-only file of which
// nothing is lost, and into which no other file can be turned by mistake.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "base/file.h"
#include "base/file_lock.h"
#include "base/jsonl.h"

namespace l2a {

// Not thread-safe.
class HeadedJournal {
 public:
  // Opens `path` or makes it with `header`. A last line that a kill left torn is cut off. Throws
  // Failure: kIo, also while another process has it; kInvalidInput for a file that does not begin
  // with a header of this format, which is left as it is.
  HeadedJournal(const std::filesystem::path& path, const FileHeader& header);
  void append(std::string_view line) { journal_->append(line); }  // Throws Failure (kIo)

 private:
  std::unique_ptr<FileLock> lock_;
  std::unique_ptr<Journal> journal_;
};

}  // namespace l2a
