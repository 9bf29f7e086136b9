#include "base/progress.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

namespace l2a {
namespace {

constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr auto kLineInterval = std::chrono::seconds(5);
constexpr size_t kBarWidth = 24;
constexpr const char* kEraseLine = "\r\x1b[K";

}  // namespace

Progress::Progress(std::string what, std::optional<size_t> total, std::string unit,
                   const Clock& clock)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      clock_(clock),
      start_(clock.now()),
      drawn_(start_),
      terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (!finished_ && terminal_) std::fputs(kEraseLine, stderr);
}

void Progress::advance(size_t by) {
  done_ += by;
  const auto now = clock_.now();
  const auto pause = terminal_ ? std::chrono::steady_clock::duration(kRedraw) : kLineInterval;
  if (now - drawn_ < pause) return;
  drawn_ = now;
  draw(false);
}

void Progress::skip(size_t by) {
  done_ += by;
  skipped_ += by;
}

void Progress::note(std::string text) { note_ = std::move(text); }

void Progress::finish() {
  finished_ = true;
  draw(true);
}

void Progress::draw(bool last) {
  if (terminal_) std::fputs(kEraseLine, stderr);
  std::fputs(line().c_str(), stderr);
  if (last || !terminal_) std::fputc('\n', stderr);
  std::fflush(stderr);
}

std::string Progress::line() const {
  const std::chrono::duration<double> elapsed = clock_.now() - start_;
  const auto done_here = static_cast<double>(done_ - skipped_);
  const double rate = elapsed.count() > 0 ? done_here / elapsed.count() : 0;
  std::string text = what_ + ": ";
  if (finished_) {
    text += fmt::format("{} {} in {}", done_, unit_, format_duration(elapsed));
  } else if (total_) {
    const double share =
        *total_ == 0 ? 1 : std::min(1.0, static_cast<double>(done_) / static_cast<double>(*total_));
    if (terminal_) {
      const auto filled = static_cast<size_t>(share * kBarWidth);
      text += "[" + std::string(filled, '=') + std::string(kBarWidth - filled, ' ') + "] ";
    }
    text += fmt::format("{}/{} {}", done_, *total_, unit_);
  } else {
    text += fmt::format("{} {}", done_, unit_);
  }
  if (rate > 0) text += fmt::format(", {:.{}f}/s", rate, rate < 10 ? 2 : 0);
  if (rate > 0 && !finished_ && total_ && *total_ > done_) {
    const std::chrono::duration<double> left(static_cast<double>(*total_ - done_) / rate);
    text += ", " + format_duration(left) + " left";
  }
  if (!note_.empty()) text += ", " + note_;
  return text;
}

}  // namespace l2a
