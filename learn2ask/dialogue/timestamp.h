// Times in logs, and durations in options.
#pragma once

#include <string_view>

#include "base/error.h"

namespace l2a {

// Seconds since 1970-01-01 UTC, from "2026-01-31T12:00:00Z", "2026-01-31 12:00:00.5+02:00" (no
// zone: taken as UTC; seconds may be left out) or a plain number of seconds. kInvalidInput
// otherwise. Source: RFC 3339, with a space for the T.
Result<double> parse_timestamp(std::string_view text);

// Seconds, from "90s", "30m", "2h" or "1d"; more than 0. kInvalidInput otherwise.
Result<double> parse_duration(std::string_view text);

}  // namespace l2a
