#include "hindsight/question.h"

#include <algorithm>

#include "base/utf8.h"

namespace l2a {
namespace {

// A sentence as words, each with the byte at which its white-space delimited piece begins (the
// characters of unspaced scripts share one) and whether a clause begins with it.
struct Words {
  std::vector<std::string> text;
  std::vector<size_t> begin;
  std::vector<bool> opens_clause;
  std::vector<size_t> clause_end;  // index past the last word of this word's clause
};

Words words_of(std::string_view sentence) {
  Words out;
  for (const ByteRange& clause : clause_ranges(sentence)) {
    const size_t first = out.text.size();
    for (size_t at = clause.begin; at < clause.end;) {
      const size_t space = std::min(sentence.find_first_of(" \t", at), clause.end);
      for (std::string& word : words(sentence.substr(at, space - at))) {
        out.opens_clause.push_back(out.text.size() == first);
        out.text.push_back(std::move(word));
        out.begin.push_back(at);
      }
      at = space + 1;
    }
    out.clause_end.resize(out.text.size(), out.text.size());
  }
  return out;
}

// Where a question form stands.
struct FormAt {
  size_t begin = 0;          // byte of the sentence: what belongs to the question begins here
  bool alternative = false;  // "or" joins it to the question before
  bool lead_in = false;      // its clause has nothing but the form: "tell me, ..."
  bool ends_sentence = false;
};

// Finds the clauses with a question form, left to right.
class FormFinder {
 public:
  FormFinder(const Words& words, const Phrases& phrases, bool is_answer)
      : words_(words), phrases_(phrases) {
    masked_.resize(words.text.size());
    for (size_t i = 0; i < words.text.size(); ++i) {
      const size_t amount = is_answer ? match(PhraseKind::kAmount, i, true) : 0;
      const size_t length = std::max(amount, match(PhraseKind::kNotQuestion, i, true));
      std::fill_n(masked_.begin() + static_cast<std::ptrdiff_t>(i), length, true);
    }
  }

  std::vector<FormAt> find() const {
    std::vector<FormAt> found;
    bool clause_asks = false;
    for (size_t i = 0; i < words_.text.size();) {
      if (words_.opens_clause[i]) clause_asks = false;
      const Opening opening = open_at(i);
      const size_t end = opening.form + opening.form_length;
      // Inside a clause that asks already, only a joiner opens another question.
      if (opening.form_length > 0 && (!clause_asks || opening.form > i)) {
        found.push_back({.begin = words_.begin[i],
                         .alternative = opening.alternative,
                         .lead_in = words_.opens_clause[i] && end == words_.clause_end[i],
                         .ends_sentence = end == words_.text.size()});
        clause_asks = true;
      }
      i = std::max(end, i + 1);
    }
    return found;
  }

 private:
  // A form, after joiners ("ok", "and", "or") or none.
  struct Opening {
    size_t form = 0;  // word at which the form stands, or at which the joiners end
    size_t form_length = 0;
    bool alternative = false;
  };

  size_t match(PhraseKind kind, size_t at, bool clause_start) const {
    return phrases_.of(kind).match(words_.text, at, clause_start);
  }
  // What stands at word `at`, inside its clause. A form goes before a joiner: "please" is one,
  // "please describe" is the other.
  Opening open_at(size_t at) const {
    Opening opening{at};
    bool clause_start = words_.opens_clause[at];
    for (;; clause_start = true) {
      size_t& next = opening.form;
      if (!masked_[next]) opening.form_length = match(PhraseKind::kQuestion, next, clause_start);
      if (opening.form_length > 0) return opening;
      const size_t joiner = match(PhraseKind::kJoiner, next, true);
      const size_t other = match(PhraseKind::kAlternative, next, true);
      opening.alternative = opening.alternative || other > joiner;
      if (std::max(joiner, other) == 0) return opening;
      next += std::max(joiner, other);
      if (next >= words_.clause_end[at]) return opening;
    }
  }

  const Words& words_;
  const Phrases& phrases_;
  std::vector<bool> masked_;  // inside a phrase that only looks like a question
};

// Without the commas and white space at its ends, which part it from its neighbours.
std::string without_outer_commas(std::string_view text) {
  std::string out = trim(text);
  for (const std::string_view comma : {",", ";", "，", "；", "、"}) {
    if (out.starts_with(comma)) out.erase(0, comma.size());
    if (out.ends_with(comma)) out.resize(out.size() - comma.size());
  }
  return trim(out);
}

}  // namespace

QuestionForms QuestionForms::load(const std::filesystem::path& directory) {
  return QuestionForms(Phrases::load(directory));
}

std::vector<std::string> QuestionForms::sentences(std::string_view text) {
  std::vector<std::string> out;
  for (const ByteRange& range : sentence_ranges(text)) {
    out.emplace_back(text.substr(range.begin, range.end - range.begin));
  }
  return out;
}

bool QuestionForms::has_question_mark(std::string_view text) const {
  const auto all = sentences(text);
  return std::any_of(all.begin(), all.end(), [&](const std::string& sentence) {
    return l2a::has_question_mark(sentence) && !is_filler(sentence);
  });
}

bool QuestionForms::has_question_form(std::string_view text) const {
  const auto all = sentences(text);
  return std::any_of(all.begin(), all.end(), [&](const std::string& sentence) {
    return !question_starts(sentence).empty();
  });
}

bool QuestionForms::asks(std::string_view sentence) const {
  return has_question_mark(sentence) || has_question_form(sentence);
}

std::vector<std::string> QuestionForms::questions(std::string_view text) const {
  std::vector<std::string> out;
  for (const ByteRange& range : sentence_ranges(text)) {
    const std::string_view sentence = text.substr(range.begin, range.end - range.begin);
    std::vector<size_t> starts = question_starts(sentence);
    if (starts.empty()) {
      if (l2a::has_question_mark(sentence) && !is_filler(sentence)) {
        out.push_back(without_outer_commas(sentence));
      }
      continue;
    }
    starts.front() = 0;  // what stands before the first question belongs to it
    starts.push_back(sentence.size());
    for (size_t i = 0; i + 1 < starts.size(); ++i) {
      out.push_back(without_outer_commas(sentence.substr(starts[i], starts[i + 1] - starts[i])));
    }
  }
  return out;
}

std::string_view QuestionForms::before_question(std::string_view sentence) const {
  const auto starts = question_starts(sentence, /*is_answer=*/true);
  if (!starts.empty()) return sentence.substr(0, starts.front());
  return has_question_mark(sentence) ? std::string_view() : sentence;
}

bool QuestionForms::is_filler(std::string_view text) const {
  const auto all = words(text);
  for (size_t i = 0; i < all.size();) {
    const size_t length = std::max(phrases_.of(PhraseKind::kJoiner).match(all, i, true),
                                   phrases_.of(PhraseKind::kThanks).match(all, i, true));
    if (length == 0) return false;
    i += length;
  }
  return true;
}

// The byte at which each question of the sentence begins; empty when it has no question form. In an
// answer, amounts are none.
std::vector<size_t> QuestionForms::question_starts(std::string_view sentence,
                                                   bool is_answer) const {
  if (is_filler(sentence)) return {};
  const bool marked = l2a::has_question_mark(sentence);
  const Words all = words_of(sentence);
  std::vector<size_t> starts;
  bool after_lead_in = false, alternative_seen = false;
  for (const FormAt& form : FormFinder(all, phrases_, is_answer).find()) {
    const bool first_alternative = form.alternative && !alternative_seen;
    const bool trails = form.ends_sentence && !marked;  // "check it and let me know."
    alternative_seen = alternative_seen || (first_alternative && !starts.empty());
    if (starts.empty() || !(after_lead_in || first_alternative || trails)) {
      starts.push_back(form.begin);
    }
    after_lead_in = form.lead_in;
  }
  return starts;
}

std::string question_key(std::string_view question) {
  std::string key;
  for (const std::string& word : words(question)) {
    if (!key.empty()) key += ' ';
    key += word;
  }
  return key;
}

}  // namespace l2a
