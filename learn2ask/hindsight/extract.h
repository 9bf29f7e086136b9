// The information target I*_t: pairs of the expert's question and the user's answer after C_t, less
// what C_t already contains. Who asked what, and what the answer was, is read off a session by an
// Extractor: here by rule, in llm_extractor.h by a language model.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dialogue/session.h"
#include "hindsight/question.h"
#include "hindsight/sample.h"

namespace l2a {

// Does each turn ask? First that decides: the turn's label in `labels` ("act_label"; kAsk asks,
// anything else does not); a question mark ("question_mark"); a question or request form
// ("question_form"); a new fact in the next user turn ("new_fact"); else "asks_nothing".
// `labels` has one entry a turn, or is empty. User turns get {false, ""}.
std::vector<Ruled<bool>> asking_turns(std::span<const Turn> turns,
                                      std::span<const std::optional<TurnKind>> labels,
                                      const QuestionForms& forms);

// A question of the expert that the user answered, were it with "I don't know".
struct Exchange {
  std::string question;
  size_t question_turn = 0;  // where it was asked first
  size_t answer_turn = 0;
  ByteRange answer;      // bytes of the answer turn's text
  bool unknown = false;  // "I don't know": no fact, but asked
};

// Every question with its answer, in the order of the answers. A reply that only asks back, thanks
// or says nothing leaves the question open: the later answer is credited to it, also where the
// expert explains (with a question mark he asks on) or asks again in other words. The expert's next
// question drops an open one that it does not repeat. A reply answers all open questions; where it
// has as many sentences with answers as there are questions, each gets its own. What the user adds
// when the expert says "OK." to an answer is credited to the same question.
//
// What is answered in turns [0, n) depends on these turns alone.
std::vector<Exchange> find_exchanges(std::span<const Turn> turns,
                                     std::span<const Ruled<bool>> asking,
                                     const QuestionForms& forms);

// What was asked and answered in a context.
struct KnownQuestion {
  std::string question, answer;
  bool unknown = false;  // answered with "I don't know"
};
// Of C_t = turns [0, turn), in the order of the answers.
std::vector<KnownQuestion> known_questions(std::span<const Turn> turns, size_t turn,
                                           const QuestionForms& forms);

// What an extractor reads. Views; the owner outlives the call.
struct Gathering {
  const Session& session;
  std::span<const Turn> turns;           // up to the stop: what follows is no gathering
  std::span<const Ruled<bool>> asking;   // one a turn
  std::span<const size_t> expert_turns;  // the t for which I*_t is wanted, rising
};

// One result for each of a gathering's expert turns. An Error leaves that turn unlabelled.
using Targets = std::vector<Result<std::vector<Item>>>;

// I*_t of each expert turn, from the exchanges of the session in the order of their answers: those
// answered at the turn or later. A fact is known, and left out, when its content words all stand in
// what the user has stated in C_t, or when a question with the same words was answered there.
Targets targets_of(const Gathering& gathering, std::span<const Exchange> exchanges,
                   const QuestionForms& forms);

// Reads sessions.
class Extractor {
 public:
  virtual ~Extractor() = default;
  virtual std::string name() const = 0;  // stands in the labels file's header
  // SHA-256 of what it was told, if it was told anything; stands there too.
  virtual std::string prompt_sha256() const { return {}; }
  // How many sessions it likes to read at once.
  virtual size_t batch() const { return 1; }
  // In the order of `gatherings`.
  virtual std::vector<Targets> extract(std::span<const Gathering> gatherings) = 0;
};

// By the rules of find_exchanges(); never fails.
class RuleExtractor final : public Extractor {
 public:
  explicit RuleExtractor(const QuestionForms& forms) : forms_(forms) {}
  std::string name() const override { return "rules"; }
  std::vector<Targets> extract(std::span<const Gathering> gatherings) override;

 private:
  const QuestionForms& forms_;
};

}  // namespace l2a
