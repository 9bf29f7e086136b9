// What an unfinished evaluation of one policy has done so far, so that the same command goes on
// after a kill.
//
// The file is append-only: a header that names all that decides the rows, then, batch after batch,
// the batch's scored rows (grader after grader) and a line {"sessions_done": N}. Rows behind the
// last such line belong to a batch that was cut short, and are evaluated again.
#pragma once

#include <deque>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/file.h"
#include "base/jsonl.h"
#include "eval/scored_row.h"

namespace l2a {

// Consecutive sessions whose replies are scored.
struct EvaluatedBatch {
  size_t sessions = 0;
  std::vector<std::vector<ScoredRow>> rows;  // one list a grader, each as in Evaluation::rows
};

// Not thread-safe.
class EvaluationJournal {
 public:
  // Makes the file, or reads what an earlier call of the same evaluation finished. Two are the same
  // when their headers agree in everything but the command. Throws Failure: another evaluation
  // (naming what differs), a line that is none of ours, kIo.
  EvaluationJournal(const std::filesystem::path& path, FileHeader header, size_t graders);

  size_t sessions_found() const { return sessions_found_; }  // finished by earlier calls
  // The next of the batches that earlier calls finished; nullopt when there is none left.
  std::optional<EvaluatedBatch> take_found();
  // On disk when it returns. Throws Failure (kIo); the batch then counts as not done.
  void append(const EvaluatedBatch& batch);

 private:
  Journal journal_;
  std::deque<EvaluatedBatch> found_;
  size_t sessions_found_ = 0, sessions_done_ = 0;
};

}  // namespace l2a
