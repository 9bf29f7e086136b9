#include "llm/retry.h"

#include <algorithm>
#include <cmath>

namespace l2a {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool contains_folded(std::string_view text, std::string_view phrase) {
  const auto same = [](char a, char b) { return lower(a) == lower(b); };
  return !phrase.empty() &&
         std::search(text.begin(), text.end(), phrase.begin(), phrase.end(), same) != text.end();
}

}  // namespace

bool names_quota(std::string_view error, const std::vector<std::string>& quota_phrases) {
  return std::any_of(quota_phrases.begin(), quota_phrases.end(),
                     [&](const std::string& phrase) { return contains_folded(error, phrase); });
}

FailureClass classify(int status, bool names_quota) {
  if (names_quota || status == 401 || status == 402 || status == 403) return FailureClass::kPause;
  if (status == 429) return FailureClass::kBusy;
  // 200 without a reply in it: an error text, or an answer that was cut.
  const bool passing = status == 200 || status == 408 || status >= 500;
  return passing ? FailureClass::kRetry : FailureClass::kRefuse;
}

std::chrono::duration<double> backoff(const LlmOptions& options, int64_t attempt, Rng& jitter) {
  const double doublings = static_cast<double>(std::min<int64_t>(attempt - 1, 40));
  const double longest =
      std::min(options.longest_wait_s, options.first_wait_s * std::exp2(doublings));
  return std::chrono::duration<double>(longest * (0.5 + 0.5 * jitter.uniform()));
}

}  // namespace l2a
