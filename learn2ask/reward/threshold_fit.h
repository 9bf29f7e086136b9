// Fitting the thresholds of a grader by similarity on pairs of questions that people labelled.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/bootstrap.h"
#include "reward/labelled_questions.h"
#include "reward/thresholds.h"
#include "reward/verdict.h"

namespace l2a {

// Two questions: how similar they are, and whether people say that they ask for the same.
struct LabelledPair {
  double similarity = 0;
  bool same = false;
  size_t a = 0, b = 0;  // the two, numbered from 0
};

// Every pair of differing questions inside a group. A question that several people asked in the
// same (normalised) words counts once. Quadratic in the largest group.
std::vector<LabelledPair> labelled_pairs(std::span<const LabelledQuestion> questions,
                                         const Similarity& similarity);

struct ThresholdFit {
  size_t same_pairs = 0, different_pairs = 0;
  // Probability that a pair of the same is more similar than one of different ones; ties half.
  double auc = 0;
  // `same` has the best F1 of "asks for the same". `near` has the best balanced accuracy, which
  // does not depend on how rare the same is; never above `same`. Both are similarities of pairs.
  SimilarityThresholds thresholds;
  double f1 = 0, balanced_accuracy = 0;
};
// kInvalidInput when there are no pairs of one of the two kinds.
Result<ThresholdFit> fit_thresholds(std::vector<LabelledPair> pairs);

// Verdicts against people's labels: how many of each kind get 1, 0.5 and 0.
struct VerdictCounts {
  void add(bool same, double content);
  size_t same_full = 0, same_half = 0, same_none = 0;
  size_t different_full = 0, different_half = 0, different_none = 0;
  double precision() const;  // of a full verdict; 0 when there is none
  double recall() const;
  double f1() const;
};
VerdictCounts count_verdicts(std::span<const LabelledPair> pairs,
                             const SimilarityThresholds& thresholds);

// Cohen's kappa with linear weights of the verdicts (1, 0.5, 0) and people's (same: 1, else 0). The
// interval is of questions drawn anew, each pair as often as the product of its questions': pairs
// that share a question are not independent. nullopt: undefined.
std::optional<Estimate> pair_kappa(std::span<const LabelledPair> pairs,
                                   const SimilarityThresholds& thresholds,
                                   const BootstrapOptions& options = {});

}  // namespace l2a
