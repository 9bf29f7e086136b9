// Fakes for tests of whatever grades.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/utf8.h"
#include "reward/grader.h"

namespace l2a {

// Gives every request `content`, but fails the requests for which `fails` says so by their number,
// counted from 0 over all calls. Keeps what it was asked.
class FakeGrader : public Grader {
 public:
  explicit FakeGrader(double content, std::function<bool(size_t)> fails = {})
      : content_(content), fails_(std::move(fails)) {}

  std::string name() const override { return "fake"; }
  std::vector<Result<Grade>> grade(std::span<const GradeRequest> requests) override {
    std::vector<Result<Grade>> grades;
    for (const GradeRequest& request : requests) {
      const size_t number = asked.size();
      asked.push_back(request.context_id + " " + request.question);
      if (fails_ && fails_(number)) {
        grades.push_back(Error{ErrorCode::kUnavailable, "fake grader: down"});
      } else {
        grades.push_back(Grade{content_, "fake"});
      }
    }
    return grades;
  }

  std::vector<std::string> asked;  // "<context_id> <question>"

 private:
  double content_;
  std::function<bool(size_t)> fails_;
};

// Bags of words as unit vectors: the cosine of two texts is that of their word counts. Text
// without a word is the zero vector.
class WordBagEncoder : public TextEncoder {
 public:
  size_t width() const override { return 4096; }
  std::vector<float> encode(std::span<const std::string> texts) override {
    std::vector<float> vectors(texts.size() * width());
    for (size_t i = 0; i < texts.size(); ++i) {
      float* row = &vectors[i * width()];
      for (const auto& word : words(texts[i])) row[stable_hash(word) % width()] += 1;
      double square = 0;
      for (size_t k = 0; k < width(); ++k) square += row[k] * row[k];
      for (size_t k = 0; k < width() && square > 0; ++k) row[k] /= std::sqrt(square);
    }
    encoded.insert(encoded.end(), texts.begin(), texts.end());
    return vectors;
  }

  std::vector<std::string> encoded;  // over all calls
};

// An item with nothing but its texts.
inline Item item_of(std::string question, std::string fact) {
  Item item;
  item.question = std::move(question);
  item.fact = std::move(fact);
  return item;
}

}  // namespace l2a
