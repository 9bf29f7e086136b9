#include "base/failure_log.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/json.h"

namespace l2a {
namespace {

constexpr size_t kWindow = 200;

}  // namespace

std::filesystem::path failures_path(const std::filesystem::path& output) {
  return beside(output, ".failures.jsonl");
}

FailureLog::FailureLog(std::filesystem::path path, std::string job, std::string things,
                       double max_rate)
    : path_(std::move(path)),
      job_(std::move(job)),
      things_(std::move(things)),
      max_rate_(max_rate),
      file_(path_) {}

void FailureLog::add(const std::string& where, const std::string& error) {
  file_.write_line(dump_json(Json{{"where", where}, {"error", error}}));
  if (lines_++ == 0) first_ = where + ": " + error;
}

void FailureLog::end_one(bool failed) {
  failed_ += failed;
  ++all_;
  recent_.push_back(failed);
  recent_failed_ += failed;
  if (recent_.size() <= kWindow) return;
  recent_failed_ -= recent_.front();
  recent_.pop_front();
  refuse_if(recent_failed_, kWindow, "of the last ");
}

void FailureLog::finish() {
  if (all_ > 0) refuse_if(failed_, all_, "of ");
  if (lines_ > 0) return file_.commit();
  std::error_code ignored;  // a file of an earlier run may be there or not
  std::filesystem::remove(path_, ignored);
}

void FailureLog::refuse_if(size_t failed, size_t all, const char* of) {
  if (static_cast<double>(failed) <= max_rate_ * static_cast<double>(all)) return;
  file_.commit();
  fail_input(
      fmt::format("{}: {} {}{} {} failed, more than max_failure_rate {}: first: {} "
                  "(all of them: {})",
                  job_, failed, of, all, things_, max_rate_, first_, path_.string()));
}

}  // namespace l2a
