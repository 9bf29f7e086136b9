// Thresholds of the graders by similarity, and where they come from.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/config.h"

namespace l2a {

// A similarity of at least `same` asks for the same fact; from `near` on it asks in its direction.
struct SimilarityThresholds {
  double same = 1;
  double near = 1;

  template <class Visitor>
  void visit(Visitor& v) {
    v("same", same, Range{0, 1}, "at or above: asks for the same fact");
    v("near", near, Range{0, 1}, "at or above: asks in its direction");
  }
};

// How far verdicts by these thresholds agree with people's: Cohen's kappa with linear weights on
// pairs of questions that the fit did not see, and its 95% interval.
struct MeasuredKappa {
  double kappa = 0, low = 0, high = 0;

  template <class Visitor>
  void visit(Visitor& v) {
    v("kappa", kappa, Range{-1, 1}, "linear weights, on labels that the fit did not see");
    v("low", low, Range{-1, 1}, "lower end of its 95% interval");
    v("high", high, Range{-1, 1}, "upper end");
  }
};

// prompts/thresholds/NAME.yaml.
struct GraderThresholds {
  std::string source;                  // data, program and date of the fit, one line
  std::vector<std::string> languages;  // that it was fitted on
  SimilarityThresholds match, words;
  struct Agreement {
    MeasuredKappa match, words;

    template <class Visitor>
    void visit(Visitor& v) {
      v.group("match", match);
      v.group("words", words);
    }
  } agreement;

  template <class Visitor>
  void visit(Visitor& v) {
    v("source", source, "where the numbers come from");
    v("languages", languages, "languages of the texts they were fitted on");
    v.group("match", match);
    v.group("words", words);
    v.group("agreement", agreement);
  }
};

// Throws Failure: what ConfigSource throws; a missing key; near above same.
GraderThresholds load_thresholds(const std::filesystem::path& path);

}  // namespace l2a
