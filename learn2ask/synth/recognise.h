// Reading a question: which slot of the domain does it ask for?
//
// A slot's cues are written in the domain file. A cue is one or more terms with spaces between
// them, all of which must occur in the question, in any order; a term is one or more alternatives:
//
//   how_old                 the words "how old", side by side
//   allerg*                 a word that starts with "allerg"
//   take|taking|using       any of these
//   !before                 must not occur
//
// A word weighs more the fewer slots use it in their questions (inverse document frequency: "how
// long" says little, "tetanus" everything). The evidence for a slot is the weight of its heaviest
// cue that matches, and half the weight of the words shared with the nearest of its own wordings.
// The slot of most evidence is recognised; among equals the one whose cue begins first in the
// question, then the one that the file names first. Where no slot's cue matches, a general cue
// decides.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "hindsight/question.h"
#include "synth/domain.h"

namespace l2a {

// One alternative; a word that ends in '*' matches by its beginning.
struct CuePhrase {
  std::vector<std::string> words;
  double weight = 1;  // > 0
};
struct CueTerm {
  std::vector<CuePhrase> alternatives;
  bool forbidden = false;
};
struct Cue {
  std::vector<CueTerm> terms;  // at least one that is not forbidden
};
// All weights are 1. kInvalidInput says why, without a place: "cue '...': why".
Result<Cue> parse_cue(std::string_view text);

struct Recognised {
  enum class Kind {
    kSlot,     // asks for `slot`
    kGeneral,  // asks about the complaint, but for nothing in particular
    kUnknown,  // asks something, nobody knows what
    kNothing,  // asks nothing: a statement, a list of keywords, an empty text
  };
  Kind kind = Kind::kNothing;
  size_t slot = 0;  // index into Domain::slots, where kind is kSlot
};

// Immutable; thread-safe. `domain` and `forms` outlive it.
class Recogniser {
 public:
  Recogniser(const Domain& domain, const QuestionForms& forms);

  // What the first question of `text` asks for; later ones do not count, so a reply can't cover
  // several slots at once. A question without a question form that is little more than the names of
  // several slots ("Age, allergies, pregnancy?") is a list of keywords and asks nothing.
  Recognised recognise(std::string_view text) const;

 private:
  struct Match {
    double weight = 0;  // of the matched words; 0: no match
    size_t begin = 0;   // first matched word
    bool better_than(const Match& other) const {
      return weight > other.weight || (weight == other.weight && begin < other.begin);
    }
  };
  // log((slots + 1) / (slots that use the word + 1/2)) > 0; a '*' pattern stands for all its words.
  double weight_of(const std::string& pattern) const;
  void weigh(Cue& cue) const;
  // Weight of the words that `words` shares with the nearest wording of the slot.
  double shared_weight(size_t slot, const std::vector<std::string>& words) const;
  static Match match(const Cue& cue, const std::vector<std::string>& words);
  static Match best(const std::vector<Cue>& cues, const std::vector<std::string>& words);

  const QuestionForms& forms_;
  std::vector<std::vector<std::set<std::string>>> wordings_;  // words of each slot's questions
  std::vector<std::vector<Cue>> slot_cues_;
  std::vector<Cue> general_cues_;
};

}  // namespace l2a
