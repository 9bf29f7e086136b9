#include "reward/threshold_fit.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "base/utf8.h"
#include "reward/confusion.h"

namespace l2a {
namespace {

struct Distinct {
  const LabelledQuestion* question;
  std::string text;  // normalised
};

double share(size_t part, size_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

double f1_of(size_t true_positives, size_t false_positives, size_t false_negatives) {
  return share(2 * true_positives, 2 * true_positives + false_positives + false_negatives);
}

double content_of(double similarity, const SimilarityThresholds& thresholds) {
  return similarity >= thresholds.same ? 1 : similarity >= thresholds.near ? 0.5 : 0;
}

}  // namespace

std::vector<LabelledPair> labelled_pairs(std::span<const LabelledQuestion> questions,
                                         const Similarity& similarity) {
  std::vector<Distinct> distinct;
  std::set<std::tuple<std::string, std::string, std::string>> seen;
  for (const auto& q : questions) {
    std::string text = normalise_text(q.question);
    if (seen.emplace(q.group, text, q.attribute).second) distinct.push_back({&q, std::move(text)});
  }
  std::vector<LabelledPair> pairs;
  for (size_t i = 0; i < distinct.size(); ++i) {
    for (size_t j = i + 1; j < distinct.size(); ++j) {
      const LabelledQuestion &a = *distinct[i].question, &b = *distinct[j].question;
      if (a.group != b.group || distinct[i].text == distinct[j].text) continue;
      pairs.push_back({similarity(a.question, b.question), a.attribute == b.attribute, i, j});
    }
  }
  return pairs;
}

Result<ThresholdFit> fit_thresholds(std::vector<LabelledPair> pairs) {
  ThresholdFit fit;
  for (const LabelledPair& pair : pairs) ++(pair.same ? fit.same_pairs : fit.different_pairs);
  if (fit.same_pairs == 0 || fit.different_pairs == 0) {
    return Error{ErrorCode::kInvalidInput, "threshold fit: " + std::to_string(fit.same_pairs) +
                                               " pairs ask for the same and " +
                                               std::to_string(fit.different_pairs) +
                                               " for different facts: needs both"};
  }
  std::sort(pairs.begin(), pairs.end(),
            [](const auto& a, const auto& b) { return a.similarity > b.similarity; });

  size_t same_above = 0, different_above = 0;  // strictly above the current similarity
  double wins = 0;
  for (size_t begin = 0; begin < pairs.size();) {
    size_t end = begin, same_here = 0;
    for (; end < pairs.size() && pairs[end].similarity == pairs[begin].similarity; ++end) {
      same_here += pairs[end].same;
    }
    const size_t different_here = end - begin - same_here;
    wins += static_cast<double>(different_here) *
            (static_cast<double>(same_above) + static_cast<double>(same_here) / 2);
    same_above += same_here;
    different_above += different_here;

    const double threshold = pairs[begin].similarity;
    const double f1 = f1_of(same_above, different_above, fit.same_pairs - same_above);
    const double balanced =
        (share(same_above, fit.same_pairs) + 1 - share(different_above, fit.different_pairs)) / 2;
    if (f1 > fit.f1) fit.f1 = f1, fit.thresholds.same = threshold;
    if (balanced > fit.balanced_accuracy) {
      fit.balanced_accuracy = balanced;
      fit.thresholds.near = threshold;
    }
    begin = end;
  }
  fit.auc = wins / (static_cast<double>(fit.same_pairs) * static_cast<double>(fit.different_pairs));
  fit.thresholds.near = std::min(fit.thresholds.near, fit.thresholds.same);
  return fit;
}

void VerdictCounts::add(bool same, double content) {
  if (same) {
    ++(content == 1 ? same_full : content > 0 ? same_half : same_none);
  } else {
    ++(content == 1 ? different_full : content > 0 ? different_half : different_none);
  }
}

double VerdictCounts::precision() const { return share(same_full, same_full + different_full); }

double VerdictCounts::recall() const { return share(same_full, same_full + same_half + same_none); }

double VerdictCounts::f1() const { return f1_of(same_full, different_full, same_half + same_none); }

VerdictCounts count_verdicts(std::span<const LabelledPair> pairs,
                             const SimilarityThresholds& thresholds) {
  VerdictCounts counts;
  for (const LabelledPair& pair : pairs) {
    counts.add(pair.same, content_of(pair.similarity, thresholds));
  }
  return counts;
}

std::optional<Estimate> pair_kappa(std::span<const LabelledPair> pairs,
                                   const SimilarityThresholds& thresholds,
                                   const BootstrapOptions& options) {
  std::vector<std::pair<size_t, size_t>> classes;  // people's, the verdict's
  size_t questions = 0;
  for (const LabelledPair& pair : pairs) {
    classes.emplace_back(verdict_class(pair.same ? 1 : 0),
                         verdict_class(content_of(pair.similarity, thresholds)));
    questions = std::max({questions, pair.a + 1, pair.b + 1});
  }
  const auto kappa_of = [&](const std::vector<size_t>& times) {
    ConfusionTable table{};
    for (size_t i = 0; i < pairs.size(); ++i) {
      table[classes[i].first][classes[i].second] += times[pairs[i].a] * times[pairs[i].b];
    }
    return linear_kappa(table);
  };
  const auto kappa = kappa_of(std::vector<size_t>(questions, 1));
  if (!kappa) return std::nullopt;
  std::vector<double> resampled;
  resample(questions, options, [&](const std::vector<size_t>& drawn) {
    std::vector<size_t> times(questions);
    for (const size_t question : drawn) ++times[question];
    if (const auto value = kappa_of(times)) resampled.push_back(*value);
  });
  const Interval interval = interval_95(resampled, *kappa);
  return Estimate{*kappa, interval.low, interval.high, pairs.size()};
}

}  // namespace l2a
