// Graders: how well does one question reach what was still to be asked?
//
// A grader sees only questions of replies whose decision was right and to continue; stops are
// scored without one. Format (number of questions) is counted by rule, in score.h, unless the
// grader judges it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "dialogue/session.h"
#include "hindsight/sample.h"

namespace l2a {

// One question to grade. Views; the owner outlives the call.
struct GradeRequest {
  std::string context_id;         // "<session>/<turn>"
  std::span<const Turn> context;  // C_t
  std::span<const Item> wanted;   // I*_t; empty where the target is
  std::string question;           // what the policy says to the user
};

// One verdict. `content` is R_a in [0, 1]: 1 asks for an item, 0.5 in the direction of one or
// too general, 0 known, irrelevant or no question.
struct Grade {
  double content = 0;
  std::string reason;  // one line for people; what decided it
  bool unrecognised =
      false;  // 0 because the grader cannot tell what is asked for: many are doubtful
  // P in [0, 1], where the grader judges that too; nullopt: it is counted by rule (score.h).
  std::optional<double> format = {};
};

// A question in, a verdict or an Error out: a failed grade is never a number. Requests are
// graded in a batch because every real grader is faster so. Not thread-safe unless it says so.
class Grader {
 public:
  virtual ~Grader() = default;
  virtual std::string name() const = 0;  // stands beside every number it gave
  // SHA-256 of the prompt that a language model is told; nullopt: none is asked.
  virtual std::optional<std::string> prompt_sha256() const { return std::nullopt; }
  virtual std::vector<Result<Grade>> grade(std::span<const GradeRequest> requests) = 0;
};

// Sentence vectors, for graders that compare meaning. Implemented by embed/.
class TextEncoder {
 public:
  virtual ~TextEncoder() = default;
  virtual size_t width() const = 0;
  // One vector of unit length for each text, row after row: [texts.size() * width()].
  virtual std::vector<float> encode(std::span<const std::string> texts) = 0;
};

}  // namespace l2a
