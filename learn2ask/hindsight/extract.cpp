#include "hindsight/extract.h"

#include <algorithm>
#include <unordered_set>

#include "base/utf8.h"
#include "hindsight/question.h"
#include "hindsight/reply.h"
#include "hindsight/said_item.h"

namespace l2a {
namespace {

using WordSet = std::unordered_set<std::string>;

std::string_view slice(std::string_view text, const ByteRange& range) {
  return text.substr(range.begin, range.end - range.begin);
}

void add_words(WordSet& set, std::string_view text, const QuestionForms& forms) {
  for (std::string& word : content_words(text, forms)) set.insert(std::move(word));
}

bool all_in(const std::vector<std::string>& words, const WordSet& set) {
  return std::all_of(words.begin(), words.end(),
                     [&](const std::string& word) { return set.contains(word); });
}

// Some fact of the user's turn has a content word that is not in `known`.
bool gives_new_fact(const Turn& turn, const WordSet& known, const QuestionForms& forms) {
  for (const ByteRange& range : sentence_ranges(turn.text)) {
    const std::string_view sentence = slice(turn.text, range);
    if (reply_kind(sentence, forms) == ReplyKind::kFact &&
        !all_in(content_words(statement_of(sentence, forms), forms), known)) {
      return true;
    }
  }
  return false;
}

// Half of the content words of the shorter one stand in the other.
bool repeats(std::string_view question, std::string_view earlier, const QuestionForms& forms) {
  if (words(question) == words(earlier)) return true;
  WordSet a, b;
  add_words(a, question, forms);
  add_words(b, earlier, forms);
  if (a.size() > b.size()) std::swap(a, b);
  const auto shared =
      std::count_if(a.begin(), a.end(), [&](const std::string& word) { return b.contains(word); });
  return shared > 0 && 2 * static_cast<size_t>(shared) >= a.size();
}

// Follows one session's open questions from turn to turn.
class Interview {
 public:
  explicit Interview(const QuestionForms& forms) : forms_(forms) {}

  void ask(const Turn& turn, size_t at) {
    std::vector<std::string> questions = forms_.questions(turn.text);
    if (!open_.empty() && (questions.empty() || explains(turn))) return;
    if (questions.empty()) {
      if (forms_.is_filler(turn.text) && !found_.empty()) {
        const Exchange& last = found_.back();
        if (last.answer_turn + 1 == at) {  // "OK." after an answer, and the user goes on
          open_.push_back({last.question, last.question_turn});
        }
        return;
      }
      questions.push_back(trim(turn.text));
    }
    std::vector<Open> now;
    for (std::string& question : questions) {
      const auto earlier = std::find_if(open_.begin(), open_.end(), [&](const Open& open) {
        return repeats(question, open.question, forms_);
      });
      now.push_back(earlier == open_.end() ? Open{std::move(question), at} : *earlier);
    }
    open_ = std::move(now);
    asked_back_ = false;
  }

  void answer(const Turn& turn, size_t at) {
    if (open_.empty()) return;
    std::vector<ByteRange> answers;  // sentences with facts or "I don't know"
    std::vector<bool> unknown;
    bool asks_back = false;
    for (const ByteRange& range : sentence_ranges(turn.text)) {
      const ReplyKind kind = reply_kind(slice(turn.text, range), forms_);
      asks_back = asks_back || kind == ReplyKind::kAsksBack;
      if (kind != ReplyKind::kFact && kind != ReplyKind::kUnknown) continue;
      answers.push_back(range);
      unknown.push_back(kind == ReplyKind::kUnknown);
    }
    const bool all_unknown = std::find(unknown.begin(), unknown.end(), false) == unknown.end();
    if (answers.empty() || (all_unknown && asks_back)) {
      asked_back_ = asked_back_ || asks_back;
      return;
    }
    const bool one_each = answers.size() == open_.size();
    const ByteRange whole{answers.front().begin, answers.back().end};
    for (size_t i = 0; i < open_.size(); ++i) {
      found_.push_back({std::move(open_[i].question), open_[i].turn, at,
                        one_each ? answers[i] : whole, one_each ? unknown[i] : all_unknown});
    }
    open_.clear();
    asked_back_ = false;
  }

  std::vector<Exchange> finish() && { return std::move(found_); }

 private:
  struct Open {
    std::string question;
    size_t turn = 0;
  };

  // The user wants help, and a statement of the turn is about an open question. With a question
  // mark the turn has explained and asks on.
  bool explains(const Turn& turn) const {
    if (!asked_back_ || forms_.has_question_mark(turn.text)) return false;
    WordSet stated;
    for (const ByteRange& range : sentence_ranges(turn.text)) {
      const std::string_view sentence = slice(turn.text, range);
      if (!forms_.asks(sentence)) add_words(stated, sentence, forms_);
    }
    return std::any_of(open_.begin(), open_.end(), [&](const Open& open) {
      const auto asked = content_words(open.question, forms_);
      return std::any_of(asked.begin(), asked.end(),
                         [&](const std::string& word) { return stated.contains(word); });
    });
  }

  const QuestionForms& forms_;
  std::vector<Open> open_;
  bool asked_back_ = false;  // the user wants help with the open questions
  std::vector<Exchange> found_;
};

// An exchange with what decides whether a context already holds it.
struct Fact {
  Item item;
  std::vector<std::string> content;  // of the fact
  std::string question_key;          // the question's normalised words
};

Item item_of(const Gathering& gathering, const Exchange& exchange) {
  return said_item(gathering.session, gathering.turns, exchange.answer_turn, exchange.answer,
                   exchange.question, exchange.question_turn);
}

}  // namespace

std::vector<Ruled<bool>> asking_turns(std::span<const Turn> turns,
                                      std::span<const std::optional<TurnKind>> labels,
                                      const QuestionForms& forms) {
  check(labels.empty() || labels.size() == turns.size(), "asking_turns: one label a turn");
  std::vector<Ruled<bool>> asking(turns.size());
  WordSet said;  // by anyone, up to and with the current turn
  for (size_t t = 0; t < turns.size(); ++t) {
    const Turn& turn = turns[t];
    add_words(said, turn.text, forms);
    if (turn.role == Role::kUser) continue;
    if (!labels.empty() && labels[t]) {
      asking[t] = {*labels[t] == TurnKind::kAsk, "act_label"};
    } else if (forms.has_question_mark(turn.text)) {
      asking[t] = {true, "question_mark"};
    } else if (forms.has_question_form(turn.text)) {
      asking[t] = {true, "question_form"};
    } else if (t + 1 < turns.size() && gives_new_fact(turns[t + 1], said, forms)) {
      asking[t] = {true, "new_fact"};
    } else {
      asking[t] = {false, "asks_nothing"};
    }
  }
  return asking;
}

std::vector<Exchange> find_exchanges(std::span<const Turn> turns,
                                     std::span<const Ruled<bool>> asking,
                                     const QuestionForms& forms) {
  Interview interview(forms);
  for (size_t t = 0; t < turns.size(); ++t) {
    if (turns[t].role == Role::kUser) {
      interview.answer(turns[t], t);
    } else if (asking[t].value) {
      interview.ask(turns[t], t);
    }
  }
  return std::move(interview).finish();
}

std::vector<KnownQuestion> known_questions(std::span<const Turn> turns, size_t turn,
                                           const QuestionForms& forms) {
  const auto context = turns.first(turn);
  std::vector<KnownQuestion> known;
  for (Exchange& exchange : find_exchanges(context, asking_turns(context, {}, forms), forms)) {
    known.push_back({std::move(exchange.question),
                     std::string(slice(context[exchange.answer_turn].text, exchange.answer)),
                     exchange.unknown});
  }
  return known;
}

Targets targets_of(const Gathering& gathering, std::span<const Exchange> exchanges,
                   const QuestionForms& forms) {
  std::vector<Fact> facts;
  for (const Exchange& exchange : exchanges) {
    Item item = item_of(gathering, exchange);
    auto content = content_words(item.fact, forms);
    facts.push_back({std::move(item), std::move(content), question_key(exchange.question)});
  }

  Targets targets;
  WordSet stated, asked;  // in C_t: by the user; question keys of the answered
  size_t turn = 0, answered = 0;
  for (const size_t t : gathering.expert_turns) {
    for (; turn < t; ++turn) {
      if (gathering.turns[turn].role != Role::kUser) continue;
      const std::string& text = gathering.turns[turn].text;
      for (const ByteRange& range : sentence_ranges(text)) {
        add_words(stated, statement_of(slice(text, range), forms), forms);
      }
    }
    for (; answered < facts.size() && facts[answered].item.answer_turn < t; ++answered) {
      asked.insert(facts[answered].question_key);
    }
    std::vector<Item> wanted;
    for (size_t i = answered; i < facts.size(); ++i) {
      const Fact& fact = facts[i];
      const bool words_known = !fact.content.empty() && all_in(fact.content, stated);
      if (exchanges[i].unknown || words_known || asked.contains(fact.question_key)) continue;
      wanted.push_back(fact.item);
    }
    targets.emplace_back(std::move(wanted));
  }
  return targets;
}

std::vector<Targets> RuleExtractor::extract(std::span<const Gathering> gatherings) {
  std::vector<Targets> all;
  for (const Gathering& gathering : gatherings) {
    all.push_back(
        targets_of(gathering, find_exchanges(gathering.turns, gathering.asking, forms_), forms_));
  }
  return all;
}

}  // namespace l2a
