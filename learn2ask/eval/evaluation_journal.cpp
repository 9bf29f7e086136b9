#include "eval/evaluation_journal.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace l2a {
namespace {

constexpr const char* kFormat = "evaluation_journal";
constexpr const char* kBatchEnd = "sessions_done";

// What a journal holds in whole batches.
struct Contents {
  std::optional<FileHeader> header;
  std::vector<EvaluatedBatch> batches;  // rows of all graders in one list, still
  size_t lines = 0;                     // up to the last batch's end
};

Contents read_contents(const std::filesystem::path& path) {
  Contents contents;
  std::vector<ScoredRow> rows;
  size_t sessions = 0;
  const auto end_batch = [&](const Json& done) {
    if (!done.is_number_unsigned() || done.get<size_t>() <= sessions) {
      fail_input(fmt::format("'{}': expected a growing count (remove the file)", kBatchEnd));
    }
    contents.batches.push_back({done.get<size_t>() - sessions, {std::move(rows)}});
    sessions = done;
    rows.clear();
  };
  contents.header = for_each_row(path, kFormat, [&](JsonLine&& line) {
    if (line.value.contains(kBatchEnd)) {
      end_batch(line.value[kBatchEnd]);
      contents.lines = line.number;
      return;
    }
    auto row = scored_row_from_json(line.value);
    if (!row) fail_input(row.error().message + " (remove the file)");
    rows.push_back(std::move(*row));
  });
  if (contents.header) contents.lines = std::max<size_t>(contents.lines, 1);
  return contents;
}

// "config_sha256" is the hash of the 'config'.
std::string hashed_thing(std::string key) {
  constexpr std::string_view kSuffix = "_sha256";
  if (key.ends_with(kSuffix)) key.resize(key.size() - kSuffix.size());
  return key;
}

// In what the two headers differ first; empty when they are equal.
std::string difference(const FileHeader& there, const FileHeader& now) {
  Json a = to_json(there), b = to_json(now);
  for (Json* header : {&a, &b}) header->erase("command");
  for (const auto& [key, value] : b.items()) {
    if (!a.contains(key) || a[key] != value) return hashed_thing(key);
  }
  return a.size() == b.size() ? "" : "header";
}

// The list of all graders' rows cut into one list a grader.
std::vector<std::vector<ScoredRow>> by_grader(std::vector<ScoredRow>&& rows, size_t graders,
                                              const std::filesystem::path& path) {
  if (rows.size() % graders != 0) {
    fail_input(fmt::format("{}: a batch of {} rows under {} graders (remove the file)",
                           path.string(), rows.size(), graders));
  }
  const auto each = static_cast<std::ptrdiff_t>(rows.size() / graders);
  std::vector<std::vector<ScoredRow>> lists;
  for (auto row = rows.begin(); lists.size() < graders; row += each) {
    lists.emplace_back(std::make_move_iterator(row), std::make_move_iterator(row + each));
  }
  return lists;
}

}  // namespace

EvaluationJournal::EvaluationJournal(const std::filesystem::path& path, FileHeader header,
                                     size_t graders)
    : journal_(path) {  // which cuts off a torn line
  check(graders > 0, "EvaluationJournal: no grader");
  header.format = kFormat;
  Contents contents = read_contents(path);
  if (!contents.header && contents.lines > 0) {
    fail_input(path.string() + ":1: no header (remove the file to evaluate anew)");
  }
  if (contents.header) {
    const std::string key = difference(*contents.header, header);
    if (!key.empty()) {
      fail_input(
          fmt::format("evaluation: {}: was started with another '{}': give another --out, or "
                      "the arguments of that evaluation; or remove the file to start anew",
                      path.string(), key));
    }
  }
  journal_.truncate_to(contents.lines);
  if (!contents.header) journal_.append(dump_json(to_json(header)));
  for (auto& batch : contents.batches) {
    found_.push_back({batch.sessions, by_grader(std::move(batch.rows[0]), graders, path)});
    sessions_found_ += batch.sessions;
  }
  sessions_done_ = sessions_found_;
}

std::optional<EvaluatedBatch> EvaluationJournal::take_found() {
  if (found_.empty()) return std::nullopt;
  EvaluatedBatch batch = std::move(found_.front());
  found_.pop_front();
  return batch;
}

void EvaluationJournal::append(const EvaluatedBatch& batch) {
  for (const auto& rows : batch.rows) {
    for (const ScoredRow& row : rows) journal_.append(dump_json(to_json(row)));
  }
  journal_.append(dump_json({{kBatchEnd, sessions_done_ + batch.sessions}}));
  journal_.sync();
  sessions_done_ += batch.sessions;
}

}  // namespace l2a
