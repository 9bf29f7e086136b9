#include "calibrate/prompt_changes.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "hindsight/sentence.h"

namespace l2a {
namespace {

constexpr size_t kMostSentences = 1000;

// A text and its sentences; what stands between two of them belongs to neither.
class Sentences {
 public:
  explicit Sentences(std::string_view text) : text_(text), ranges_(sentence_ranges(text)) {}

  size_t size() const { return ranges_.size(); }
  size_t begin(size_t i) const { return i == size() ? text_.size() : ranges_[i].begin; }
  size_t end_before(size_t i) const { return i == 0 ? 0 : ranges_[i - 1].end; }

  std::string_view operator[](size_t i) const { return bytes(begin(i), end_before(i + 1)); }
  std::string_view gap_before(size_t i) const { return bytes(end_before(i), begin(i)); }
  std::string_view bytes(size_t begin, size_t end) const {
    return text_.substr(begin, end - begin);
  }
  std::string_view up_to(size_t byte) const { return bytes(0, byte); }
  std::string_view from(size_t byte) const { return bytes(byte, text_.size()); }

 private:
  std::string_view text_;
  std::vector<ByteRange> ranges_;
};

std::string join(std::string_view a, std::string_view b, std::string_view c = "") {
  return std::string(a).append(b).append(c);
}

// Sentences [begin, end) of the prompt stand where [original_begin, original_end) stood.
struct Change {
  size_t begin, end, original_begin, original_end;
};

// What stands between the sentences of a longest common subsequence.
std::vector<Change> changes_between(const Sentences& prompt, const Sentences& original) {
  const size_t n = prompt.size(), m = original.size();
  std::vector<uint16_t> longest((n + 1) * (m + 1), 0);  // of what comes from sentences (p, o) on
  const auto length = [&](size_t p, size_t o) -> uint16_t& { return longest[p * (m + 1) + o]; };
  for (size_t p = n; p-- > 0;) {
    for (size_t o = m; o-- > 0;) {
      length(p, o) = prompt[p] == original[o] ? static_cast<uint16_t>(length(p + 1, o + 1) + 1)
                                              : std::max(length(p + 1, o), length(p, o + 1));
    }
  }
  std::vector<Change> changes;
  Change change{0, 0, 0, 0};
  const auto close = [&] {
    const bool is_empty =
        change.begin == change.end && change.original_begin == change.original_end;
    if (!is_empty) changes.push_back(change);
  };
  for (size_t p = 0, o = 0; p < n || o < m;) {
    if (p < n && o < m && prompt[p] == original[o]) {
      close();
      ++p, ++o;
      change = {p, p, o, o};
    } else if (o == m || (p < n && length(p + 1, o) >= length(p, o + 1))) {
      change.end = ++p;
    } else {
      change.original_end = ++o;
    }
  }
  close();
  return changes;
}

// Of what stands before and after the sentence, the line break stays.
std::string without(const Sentences& prompt, size_t sentence) {
  const auto breaks = [](std::string_view gap) { return gap.find('\n') != gap.npos; };
  const bool begins_line = sentence == 0 || (breaks(prompt.gap_before(sentence)) &&
                                             !breaks(prompt.gap_before(sentence + 1)));
  if (begins_line && sentence + 1 < prompt.size()) {
    return join(prompt.up_to(prompt.begin(sentence)), prompt.from(prompt.begin(sentence + 1)));
  }
  return join(prompt.up_to(prompt.end_before(sentence)),
              prompt.from(prompt.end_before(sentence + 1)));
}

std::string with_original(const Sentences& prompt, const Sentences& original,
                          const Change& change) {
  const auto [begin, end, original_begin, original_end] = change;
  if (begin < end) {
    return join(prompt.up_to(prompt.begin(begin)),
                original.bytes(original.begin(original_begin), original.end_before(original_end)),
                prompt.from(prompt.end_before(end)));
  }
  if (begin == 0) {
    return join(original.up_to(original.begin(original_end)), prompt.from(prompt.begin(0)));
  }
  const size_t where = prompt.end_before(begin);
  return join(
      prompt.up_to(where),
      original.bytes(original.end_before(original_begin), original.end_before(original_end)),
      prompt.from(where));
}

}  // namespace

std::vector<std::string> take_back_one_change(const std::string& prompt,
                                              const std::string& original) {
  const Sentences its(prompt), originals(original);
  if (std::max(its.size(), originals.size()) > kMostSentences) return {};
  std::vector<std::string> prompts;
  for (const Change& change : changes_between(its, originals)) {
    if (change.original_begin < change.original_end) {
      prompts.push_back(with_original(its, originals, change));
      continue;
    }
    for (size_t sentence = change.begin; sentence < change.end; ++sentence) {
      prompts.push_back(without(its, sentence));
    }
  }
  if (prompts.size() == 1) return {original};  // also what stands between its sentences
  return prompts;
}

}  // namespace l2a
