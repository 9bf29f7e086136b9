#include "dialogue/redact.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace l2a {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_name_part(char c) { return is_digit(c) || is_ascii_letter(c); }

// A piece of text with something to hide.
struct Found {
  Secret kind;
  size_t begin, end;
  std::string value;  // what is the same in all its spellings
};

// The e-mail address around the '@' at `at`. Source: the dot-atom form of RFC 5322, with a host
// name that holds a dot.
std::optional<Found> email_around(std::string_view text, size_t at) {
  const auto is_local = [](char c) {
    return is_name_part(c) ||
           std::string_view("!#$%&'*+/=?^_`{|}~.-").find(c) != std::string_view::npos;
  };
  size_t begin = at;
  while (begin > 0 && is_local(text[begin - 1])) --begin;
  // Quotes and brackets before an address are not part of it.
  while (begin < at && !is_name_part(text[begin]) && text[begin] != '_') ++begin;
  size_t end = at + 1;
  while (end < text.size() && (is_name_part(text[end]) || text[end] == '-' || text[end] == '.')) {
    ++end;
  }
  while (end > at + 1 && !is_name_part(text[end - 1])) --end;  // the full stop of a sentence
  const std::string_view host = text.substr(at + 1, end - at - 1);
  const size_t dot = host.rfind('.');
  const bool named =
      dot != host.npos && dot > 0 && host.size() - dot > 2 &&
      std::all_of(host.begin() + static_cast<long>(dot) + 1, host.end(), is_ascii_letter);
  if (begin == at || !named) return std::nullopt;
  std::string value(text.substr(begin, end - begin));
  std::transform(value.begin(), value.end(), value.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return Found{Secret::kEmail, begin, end, std::move(value)};
}

constexpr size_t kMaxDigits = 19;  // of a card number

// A run of digit groups with at most two separators between neighbours. Its reading ends at the
// first digit too many for a number of either kind.
struct DigitRun {
  size_t begin = 0, end = 0;
  std::string digits;
  struct Group {
    size_t digits, separators;  // in it, and before it
    size_t end;
  };
  std::vector<Group> groups;
  std::string separators;  // all of them, in order
  bool plus = false;

  void drop_last_group() {
    digits.resize(digits.size() - groups.back().digits);
    separators.resize(separators.size() - groups.back().separators);
    groups.pop_back();
    end = groups.empty() ? begin : groups.back().end;
  }
};

DigitRun digit_run_at(std::string_view text, size_t begin) {
  DigitRun run;
  run.begin = run.end = begin;
  size_t at = begin;
  run.plus = text[at] == '+';
  if (run.plus) ++at;
  bool fresh = true;  // the next digit opens a group
  std::string pending;
  for (; at < text.size() && run.digits.size() <= kMaxDigits; ++at) {
    const char c = text[at];
    if (is_digit(c)) {
      if (fresh) run.groups.push_back({0, pending.size(), at});
      fresh = false;
      run.separators += std::exchange(pending, {});
      run.digits += c;
      ++run.groups.back().digits;
      run.groups.back().end = run.end = at + 1;
    } else if (std::string_view(" -.()").find(c) != std::string_view::npos && pending.size() < 2) {
      pending += c;
      fresh = true;
    } else {
      break;
    }
  }
  return run;
}

// Source: ISO/IEC 7812-1, annex B.
bool passes_luhn(std::string_view digits) {
  int sum = 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    int digit = digits[digits.size() - 1 - i] - '0';
    if (i % 2 == 1) digit = digit > 4 ? digit * 2 - 9 : digit * 2;
    sum += digit;
  }
  return sum % 10 == 0;
}

// Length of a date at `at` ("2026-01-31", "31.01.2026", "1-31-26"), 0 when there is none. A date
// is cut out before the digits around it are looked at: "2026-01-31 12" is no phone number.
size_t date_length(std::string_view text, size_t at) {
  size_t position = at, groups[3] = {};
  char separator = 0;
  for (int g = 0; g < 3; ++g) {
    while (position < text.size() && is_digit(text[position])) ++position, ++groups[g];
    if (g == 2) break;
    if (position >= text.size()) return 0;
    const char c = text[position];
    if ((c != '-' && c != '.' && c != '/') || (separator != 0 && c != separator)) return 0;
    separator = c;
    ++position;
  }
  const auto small = [](size_t n) { return n == 1 || n == 2; };
  const bool year_first = groups[0] == 4 && small(groups[1]) && small(groups[2]);
  const bool year_last = small(groups[0]) && small(groups[1]) && (groups[2] == 4 || groups[2] == 2);
  // A fourth group: an address or a phone number, not a date.
  const bool goes_on =
      position + 1 < text.size() && text[position] == separator && is_digit(text[position + 1]);
  return (year_first || year_last) && !goes_on ? position - at : 0;
}

// "192.168.1.1": support staff say it to everybody.
bool is_network_address(const DigitRun& run) {
  return run.separators == "..." && !run.plus &&
         std::all_of(run.groups.begin(), run.groups.end(),
                     [](const DigitRun::Group& group) { return group.digits <= 3; });
}

std::optional<Secret> kind_of(const DigitRun& run) {
  const size_t n = run.digits.size();
  const bool card_separators = std::all_of(run.separators.begin(), run.separators.end(),
                                           [](char c) { return c == ' ' || c == '-'; });
  if (n >= 13 && n <= kMaxDigits && !run.plus && card_separators && passes_luhn(run.digits)) {
    return Secret::kCard;
  }
  if (n < 2 * run.groups.size()) return std::nullopt;  // a list of small numbers
  const bool grouped = run.plus || run.groups.size() > 1;
  const bool local = run.separators == "-" && n == 7 && run.groups.front().digits == 3;
  if ((n >= 9 && n <= 15) || (n == 8 && grouped) || local) return Secret::kPhone;
  return std::nullopt;
}

// Whether "x12" or "ext12" follows: a number's extension, which is no name.
bool is_extension(std::string_view text, size_t at) {
  for (const std::string_view mark : {"x", "X", "ext", "Ext"}) {
    const size_t end = at + mark.size();
    if (text.substr(at, mark.size()) == mark && end < text.size() && is_digit(text[end])) {
      return true;
    }
  }
  return false;
}

// The number that starts at `at`, or how far to go on when there is none to hide.
struct NumberSpan {
  std::optional<Found> found;
  size_t end;
};

NumberSpan number_at(std::string_view text, size_t at) {
  if (const size_t date = date_length(text, at)) return {std::nullopt, at + date};
  DigitRun run = digit_run_at(text, at);
  const bool decimal = run.separators == "." && !run.plus;
  if (decimal || is_network_address(run)) return {std::nullopt, run.end};
  const bool goes_on_a_name = at > 0 && is_name_part(text[at - 1]);
  // Other digits may follow a number: a card's check value, another number.
  for (; !goes_on_a_name && !run.groups.empty(); run.drop_last_group()) {
    const bool begins_a_name =
        run.end < text.size() && is_ascii_letter(text[run.end]) && !is_extension(text, run.end);
    const auto kind = begins_a_name ? std::nullopt : kind_of(run);
    if (kind) return {Found{*kind, run.begin, run.end, run.digits}, run.end};
  }
  // Past this group only: the next one may start a number of its own ("10 555-0123").
  size_t end = at + (text[at] == '+');
  while (end < text.size() && is_digit(text[end])) ++end;
  return {std::nullopt, std::max(end, at + 1)};
}

std::vector<Found> find_secrets(std::string_view text) {
  std::vector<Found> emails, all;
  for (size_t at = text.find('@'); at != text.npos; at = text.find('@', at + 1)) {
    auto email = email_around(text, at);
    if (email && (emails.empty() || emails.back().end <= email->begin)) {
      emails.push_back(std::move(*email));
    }
  }
  size_t next_email = 0;
  for (size_t at = 0; at < text.size();) {
    if (next_email < emails.size() && at >= emails[next_email].begin) {
      at = emails[next_email].end;
      all.push_back(std::move(emails[next_email++]));
      continue;
    }
    const bool starts =
        is_digit(text[at]) || (text[at] == '+' && at + 1 < text.size() && is_digit(text[at + 1]));
    if (!starts) {
      ++at;
      continue;
    }
    // An address that begins with digits is an address.
    const size_t limit = next_email < emails.size() ? emails[next_email].begin : text.size();
    NumberSpan number = number_at(text.substr(0, limit), at);
    at = number.end;
    if (number.found) all.push_back(std::move(*number.found));
  }
  return all;
}

constexpr const char* kNames[] = {"EMAIL", "PHONE", "CARD"};

}  // namespace

std::string Redactor::placeholder(Secret kind, const std::string& value) {
  const auto index = static_cast<size_t>(kind);
  ++replaced_[index];
  const auto [entry, added] = numbers_.try_emplace({kind, value}, distinct_[index] + 1);
  if (added) ++distinct_[index];
  return "<" + std::string(kNames[index]) + "_" + std::to_string(entry->second) + ">";
}

std::string Redactor::redact(std::string_view text) {
  std::string out;
  size_t done = 0;
  for (const Found& found : find_secrets(text)) {
    out += text.substr(done, found.begin - done);
    // The bracket of "(555) 123-4567" goes with the number.
    const bool bracket = found.kind == Secret::kPhone && out.ends_with('(') &&
                         text.substr(found.begin, found.end - found.begin).find(')') != text.npos;
    if (bracket) out.pop_back();
    out += placeholder(found.kind, found.value);
    done = found.end;
  }
  out += text.substr(done);
  return out;
}

void Redactor::redact(Json& value) {
  if (value.is_string()) {
    value = redact(value.get_ref<const std::string&>());
  } else if (value.is_number_integer()) {
    const std::string digits = value.dump();
    if (std::string redacted = redact(digits); redacted != digits) value = std::move(redacted);
  } else if (value.is_structured()) {
    for (Json& item : value) redact(item);
  }
}

}  // namespace l2a
