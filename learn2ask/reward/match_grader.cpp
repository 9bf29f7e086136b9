#include "reward/match_grader.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/utf8.h"
#include "reward/verdict.h"

namespace l2a {
namespace {

// Bounds the vectors that are alive at a time: about 20 texts a request, 1.5 kB each.
constexpr size_t kRequestsAtOnce = 256;

// Vectors of the distinct texts of a batch, by text.
class VectorTable {
 public:
  VectorTable(TextEncoder& encoder, const std::vector<const std::vector<std::string>*>& lists)
      : width_(encoder.width()) {
    std::vector<std::string> texts;
    for (const auto* list : lists) {
      for (const std::string& text : *list) {
        if (rows_.try_emplace(text, texts.size()).second) texts.push_back(text);
      }
    }
    vectors_ = encoder.encode(texts);
    check(vectors_.size() == texts.size() * width_, "MatchGrader: vectors of another shape");
  }

  double cosine(const std::string& a, const std::string& b) const {
    const float* u = row(a);
    return std::inner_product(u, u + width_, row(b), 0.0);
  }

 private:
  const float* row(const std::string& text) const {
    return vectors_.data() + rows_.at(text) * width_;
  }
  size_t width_;
  std::unordered_map<std::string, size_t> rows_;
  std::vector<float> vectors_;
};

bool mostly_latin(const GradeRequest& request) {
  std::string items;
  for (const Item& item : request.wanted) items += item.question + "\n" + item.fact + "\n";
  return latin_share(request.question) >= 0.5 && latin_share(items) >= 0.5;
}

}  // namespace

MatchGrader::MatchGrader(TextEncoder& encoder, const QuestionForms& forms,
                         GraderThresholds thresholds, MatchOptions options)
    : encoder_(encoder, options.cached_texts),
      forms_(forms),
      thresholds_(std::move(thresholds)),
      options_(options) {}

std::string MatchGrader::name() const {
  return fmt::format("match (same {}, near {}, fitted on {})", thresholds_.match.same,
                     thresholds_.match.near, fmt::join(thresholds_.languages, ", "));
}

std::vector<Result<Grade>> MatchGrader::grade(std::span<const GradeRequest> requests) {
  std::vector<Result<Grade>> grades;
  grades.reserve(requests.size());
  for (size_t begin = 0; begin < requests.size(); begin += kRequestsAtOnce) {
    const size_t count = std::min(kRequestsAtOnce, requests.size() - begin);
    grade_some(requests.subspan(begin, count), grades);
  }
  return grades;
}

void MatchGrader::grade_some(std::span<const GradeRequest> requests,
                             std::vector<Result<Grade>>& grades) {
  std::vector<std::optional<Comparison>> compared;  // nullopt: refused
  for (const GradeRequest& request : requests) {
    const bool refused = !options_.any_script && !mostly_latin(request);
    compared.push_back(refused ? std::nullopt : std::optional(comparison_of(request, forms_)));
  }
  std::vector<const std::vector<std::string>*> lists;
  for (const auto& c : compared) {
    if (c) lists.insert(lists.end(), {&c->questions, &c->open, &c->known});
  }
  const VectorTable table(encoder_, lists);
  const Similarity cosine = [&](const auto& a, const auto& b) { return table.cosine(a, b); };

  for (size_t i = 0; i < requests.size(); ++i) {
    if (compared[i]) {
      grades.push_back(verdict(*compared[i], thresholds_.match, cosine));
      continue;
    }
    grades.push_back(Error{
        ErrorCode::kUnsupported,
        fmt::format("match grader: {}: mostly not in Latin script, and its thresholds were fitted "
                    "on {} (grader llm reads any script)",
                    requests[i].context_id, fmt::join(thresholds_.languages, ", "))});
  }
}

}  // namespace l2a
