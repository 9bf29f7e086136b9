#include "dialogue/timestamp.h"

#include <charconv>
#include <chrono>
#include <cmath>
#include <optional>
#include <string>

#include "base/utf8.h"

namespace l2a {
namespace {

// Takes parts off the front of a text; `ok` turns false at the first that is not there.
struct Cursor {
  std::string_view rest;
  bool ok = true;

  unsigned digits(size_t count) {
    unsigned value = 0;
    for (size_t i = 0; i < count; ++i) {
      if (i >= rest.size() || rest[i] < '0' || rest[i] > '9') {
        ok = false;
        return 0;
      }
      value = value * 10 + static_cast<unsigned>(rest[i] - '0');
    }
    rest.remove_prefix(count);
    return value;
  }
  bool take(std::string_view any_of) {
    if (rest.empty() || any_of.find(rest.front()) == any_of.npos) return false;
    rest.remove_prefix(1);
    return true;
  }
  void expect(std::string_view any_of) { ok = take(any_of) && ok; }
};

std::optional<double> number(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (error != std::errc() || stop != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

// Offset of the zone at the cursor, in seconds east of UTC.
double zone_seconds(Cursor& at) {
  if (at.rest.empty() || at.take("Zz")) return 0;
  const double sign = at.rest.front() == '-' ? -1 : 1;
  at.expect("+-");
  const unsigned hours = at.digits(2);
  at.take(":");
  const unsigned minutes = at.digits(2);
  at.ok = at.ok && hours < 24 && minutes < 60;
  return sign * (hours * 3600.0 + minutes * 60.0);
}

}  // namespace

Result<double> parse_timestamp(std::string_view text) {
  const std::string trimmed = trim(text);
  if (const auto seconds = number(trimmed)) return *seconds;
  Cursor at{trimmed};
  const unsigned year = at.digits(4);
  at.expect("-");
  const unsigned month = at.digits(2);
  at.expect("-");
  const unsigned day = at.digits(2);
  at.expect("Tt ");
  const unsigned hour = at.digits(2);
  at.expect(":");
  const unsigned minute = at.digits(2);
  double second = 0;
  if (at.take(":")) {
    second = at.digits(2);
    if (at.take(".,")) {
      at.ok = at.ok && !at.rest.empty() && at.rest.front() >= '0' && at.rest.front() <= '9';
      for (double unit = 0.1; !at.rest.empty() && at.rest.front() >= '0' && at.rest.front() <= '9';
           unit /= 10) {
        second += unit * at.digits(1);
      }
    }
  }
  const double zone = zone_seconds(at);
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(year)),
                                         std::chrono::month(month), std::chrono::day(day)};
  if (!at.ok || !at.rest.empty() || !date.ok() || hour > 23 || minute > 59 || second >= 61) {
    return Error{ErrorCode::kInvalidInput,
                 "expected a time such as 2026-01-31T12:00:00Z, got '" + shown(text) + "'"};
  }
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return static_cast<double>(days) * 86400 + hour * 3600.0 + minute * 60.0 + second - zone;
}

Result<double> parse_duration(std::string_view text) {
  const auto bad = [&] {
    return Error{ErrorCode::kInvalidInput,
                 "expected a duration such as 90s, 30m, 2h or 1d, got '" + shown(text) + "'"};
  };
  if (text.empty()) return bad();
  const size_t unit = std::string_view("smhd").find(text.back());
  if (unit == std::string_view::npos) return bad();
  const auto value = number(text.substr(0, text.size() - 1));
  if (!value || !(*value > 0)) return bad();
  constexpr double kSeconds[] = {1, 60, 3600, 86400};
  return *value * kSeconds[unit];
}

}  // namespace l2a
