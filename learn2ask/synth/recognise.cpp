#include "synth/recognise.h"

#include <algorithm>
#include <cmath>

#include "base/utf8.h"

namespace l2a {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0;;) {
    const size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == text.npos) return parts;
    begin = end + 1;
  }
}

bool is_cue_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '\'' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool matches(const std::string& pattern, const std::string& word) {
  if (pattern.back() != '*') return word == pattern;
  return word.compare(0, pattern.size() - 1, pattern, 0, pattern.size() - 1) == 0;
}

// Index of the first place where the phrase stands in `words`.
std::optional<size_t> find_phrase(const CuePhrase& phrase, const std::vector<std::string>& words) {
  const auto& wanted = phrase.words;
  for (size_t at = 0; at + wanted.size() <= words.size(); ++at) {
    if (std::equal(wanted.begin(), wanted.end(), words.begin() + at, matches)) return at;
  }
  return std::nullopt;
}

// Words without a possessive 's: "the camera's cover" names the camera.
std::vector<std::string> plain_words(std::string_view text) {
  auto list = words(text);
  for (auto& word : list) {
    if (word.size() > 2 && word.ends_with("'s")) word.resize(word.size() - 2);
  }
  return list;
}

std::vector<Cue> parse_checked(const std::vector<std::string>& texts) {
  std::vector<Cue> cues;
  for (const auto& text : texts) cues.push_back(parse_cue(text).value_or_throw());
  return cues;
}

}  // namespace

Result<Cue> parse_cue(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return Error{ErrorCode::kInvalidInput, "cue '" + shown(text) + "': " + std::string(why)};
  };
  Cue cue;
  bool any_wanted = false;
  for (std::string_view term_text : split(text, ' ')) {
    CueTerm term;
    if (term_text.starts_with('!')) {
      term.forbidden = true;
      term_text.remove_prefix(1);
    }
    any_wanted |= !term.forbidden;
    for (const std::string_view alternative : split(term_text, '|')) {
      CuePhrase phrase;
      for (const std::string_view word : split(alternative, '_')) {
        const std::string_view stem = word.ends_with('*') ? word.substr(0, word.size() - 1) : word;
        if (stem.empty()) return bad("empty word");
        if (!std::all_of(stem.begin(), stem.end(), is_cue_character)) {
          return bad(
              "expected lower-case words, '_', '|', '*' at a word's end or '!' before a term");
        }
        phrase.words.emplace_back(word);
      }
      term.alternatives.push_back(std::move(phrase));
    }
    cue.terms.push_back(std::move(term));
  }
  if (!any_wanted) return bad("only forbidden terms");
  return cue;
}

Recogniser::Recogniser(const Domain& domain, const QuestionForms& forms) : forms_(forms) {
  for (const auto& slot : domain.slots) {
    slot_cues_.push_back(parse_checked(slot.cues));
    auto& wordings = wordings_.emplace_back();
    for (const auto& ask : slot.ask) {
      const auto ask_words = plain_words(ask);
      wordings.emplace_back(ask_words.begin(), ask_words.end());
    }
  }
  general_cues_ = parse_checked(domain.general_cues);
  for (auto& cues : slot_cues_) {
    for (auto& cue : cues) weigh(cue);
  }
}

double Recogniser::weight_of(const std::string& pattern) const {
  const auto uses_it = [&](const std::vector<std::set<std::string>>& wordings) {
    return std::any_of(wordings.begin(), wordings.end(), [&](const std::set<std::string>& wording) {
      return std::any_of(wording.begin(), wording.end(),
                         [&](const std::string& word) { return matches(pattern, word); });
    });
  };
  const auto users =
      static_cast<double>(std::count_if(wordings_.begin(), wordings_.end(), uses_it));
  return std::log((static_cast<double>(wordings_.size()) + 1) / (users + 0.5));
}

void Recogniser::weigh(Cue& cue) const {
  for (auto& term : cue.terms) {
    for (auto& phrase : term.alternatives) {
      phrase.weight = 0;
      for (const auto& word : phrase.words) phrase.weight += weight_of(word);
    }
  }
}

double Recogniser::shared_weight(size_t slot, const std::vector<std::string>& words) const {
  const std::set<std::string> distinct(words.begin(), words.end());
  double most = 0;
  for (const auto& wording : wordings_[slot]) {
    double shared = 0;
    for (const auto& word : distinct) {
      if (wording.count(word)) shared += weight_of(word);
    }
    most = std::max(most, shared);
  }
  return most;
}

Recogniser::Match Recogniser::match(const Cue& cue, const std::vector<std::string>& words) {
  Match match{0, words.size()};
  for (const auto& term : cue.terms) {
    std::optional<size_t> begin;
    double weight = 0;  // of the heaviest alternative that matches
    for (const auto& phrase : term.alternatives) {
      if (phrase.weight <= weight) continue;
      if (const auto at = find_phrase(phrase, words)) begin = at, weight = phrase.weight;
    }
    if (begin.has_value() == term.forbidden) return {};
    if (term.forbidden) continue;
    match.weight += weight;
    match.begin = std::min(match.begin, *begin);
  }
  return match;
}

Recogniser::Match Recogniser::best(const std::vector<Cue>& cues,
                                   const std::vector<std::string>& words) {
  Match best;
  for (const auto& cue : cues) {
    const Match m = match(cue, words);
    if (m.better_than(best)) best = m;
  }
  return best;
}

Recognised Recogniser::recognise(std::string_view text) const {
  using Kind = Recognised::Kind;
  const auto questions = forms_.questions(text);
  if (questions.empty()) return {Kind::kNothing};
  const std::string& question = questions.front();
  const auto question_words = plain_words(question);

  Match winner;
  Recognised found{Kind::kUnknown};
  std::set<size_t> named_at;  // words where some slot's cue begins
  for (size_t slot = 0; slot < slot_cues_.size(); ++slot) {
    Match m = best(slot_cues_[slot], question_words);
    if (m.weight == 0) continue;
    named_at.insert(m.begin);
    m.weight += shared_weight(slot, question_words) / 2;
    if (!m.better_than(winner)) continue;
    winner = m;
    found = {Kind::kSlot, slot};
  }
  const bool mostly_names = named_at.size() > 1 && 2 * named_at.size() > question_words.size();
  if (mostly_names && !forms_.has_question_form(question)) return {Kind::kNothing};
  if (named_at.empty() && best(general_cues_, question_words).weight > 0) return {Kind::kGeneral};
  return found;
}

}  // namespace l2a
