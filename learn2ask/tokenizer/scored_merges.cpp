#include "tokenizer/scored_merges.h"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "base/error.h"

namespace l2a {
namespace {

struct ScoredMerge {
  size_t whole, left, right;         // ids
  size_t left_length, right_length;  // characters
};

bool is_character_start(char c) { return (c & 0xC0) != 0x80; }

size_t characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), is_character_start));
}

}  // namespace

std::vector<std::pair<std::string, std::string>> merges_by_score(
    const std::vector<std::string>& tokens, const std::vector<double>& scores) {
  check(tokens.size() == scores.size(), "a score for each token");
  std::unordered_map<std::string_view, size_t> ids;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (!tokens[id].empty()) ids.emplace(tokens[id], id);
  }
  std::vector<ScoredMerge> merges;
  for (size_t id = 0; id < tokens.size(); ++id) {
    const std::string_view whole = tokens[id];
    std::vector<ScoredMerge> local;
    for (size_t at = 1; at < whole.size(); ++at) {
      if (!is_character_start(whole[at])) continue;
      const auto left = ids.find(whole.substr(0, at)), right = ids.find(whole.substr(at));
      if (left == ids.end() || right == ids.end()) continue;
      local.push_back(
          {id, left->second, right->second, characters(left->first), characters(right->first)});
    }
    std::sort(local.begin(), local.end(), [](const ScoredMerge& a, const ScoredMerge& b) {
      return std::tie(a.left, a.right) < std::tie(b.left, b.right);
    });
    merges.insert(merges.end(), local.begin(), local.end());
  }
  std::stable_sort(merges.begin(), merges.end(), [&](const ScoredMerge& a, const ScoredMerge& b) {
    return std::tie(scores[a.whole], a.left_length, a.right_length) >
           std::tie(scores[b.whole], b.left_length, b.right_length);
  });
  std::vector<std::pair<std::string, std::string>> result;
  result.reserve(merges.size());
  for (const ScoredMerge& merge : merges) {
    result.emplace_back(tokens[merge.left], tokens[merge.right]);
  }
  return result;
}

}  // namespace l2a
