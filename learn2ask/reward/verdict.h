// What graders by similarity share: which questions of a reply are graded, what they are compared
// with, and how similarities become a verdict. The measure of similarity is the grader's own.
//
//   1    nearest to an open item, at or above the threshold `same`
//   0.5  nearest to an open item, between `near` and `same`: in its direction, or too general
//   0    below `near`; nearer to something known than to any open item; a list of keywords;
//        the user's own words given back
//
// Stuffing never pays: every question of the reply is graded, and the reply gets the mean, rounded
// down to the scale 0, 0.5, 1. Only sentences that ask are read; what stands around them is not.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "hindsight/question.h"
#include "reward/grader.h"
#include "reward/thresholds.h"

namespace l2a {

// What one reply is compared with, as texts.
struct Comparison {
  std::vector<std::string> questions;  // the sentences of the reply that ask
  // For each of them, why it gets 0 whatever it is similar to; empty: it is to be compared.
  std::vector<std::string> flaws;
  // For each open item its question, and its question with the fact.
  std::vector<std::string> open;
  // For each question asked and answered in the context, the same two.
  std::vector<std::string> known;
};
Comparison comparison_of(const GradeRequest& request, const QuestionForms& forms);

// Symmetric; 1 for equal texts, lower for less similar ones.
using Similarity = std::function<double(const std::string&, const std::string&)>;

Grade verdict(const Comparison& compared, const SimilarityThresholds& thresholds,
              const Similarity& similarity);

// The mean of the contents, rounded down to 0, 0.5 or 1, with the first reason that is not for a
// full 1. An empty list is a reply that asks nothing: 0.
Grade combine(const std::vector<Grade>& grades);

}  // namespace l2a
