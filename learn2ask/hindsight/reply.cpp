#include "hindsight/reply.h"

#include <algorithm>
#include <span>

#include "base/utf8.h"

namespace l2a {
namespace {

// The first index in `words` at which a phrase of `kind` stands, with its length; length 0 when
// there is none.
struct Found {
  size_t at = 0, length = 0;
};
Found find_phrase(std::span<const std::string> words, PhraseKind kind, const Phrases& phrases) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (const size_t length = phrases.of(kind).match(words, i, i == 0)) return {i, length};
  }
  return {};
}

// All words belong to thanks, joiners and function words, at least one phrase being thanks.
bool says_nothing(const std::vector<std::string>& words, const Phrases& phrases) {
  bool thanks = words.empty();
  for (size_t i = 0; i < words.size();) {
    const size_t thanks_length = phrases.of(PhraseKind::kThanks).match(words, i, true);
    const size_t length =
        std::max({thanks_length, phrases.of(PhraseKind::kJoiner).match(words, i, true),
                  phrases.of(PhraseKind::kFunction).match(words, i, true)});
    if (length == 0) return false;
    thanks = thanks || thanks_length > 0;
    i += length;
  }
  return thanks;
}

// All words belong to phrases of the two kinds.
bool only(PhraseKind a, PhraseKind b, std::span<const std::string> words, const Phrases& phrases) {
  for (size_t i = 0; i < words.size();) {
    const size_t length =
        std::max(phrases.of(a).match(words, i, true), phrases.of(b).match(words, i, true));
    if (length == 0) return false;
    i += length;
  }
  return true;
}

// A letter of a script that base/utf8.h's words() splits into single characters.
bool is_unspaced(const std::string& word) {
  const std::u32string points = decode_utf8(word).value_or_throw();
  return points.front() >= 0xE01 && !(points.front() >= 0xE80 && points.front() < 0x2E80) &&
         std::all_of(points.begin() + 1, points.end(), is_mark);
}

// content_words() of a text's words.
std::vector<std::string> content_of(std::span<const std::string> all, const Phrases& phrases) {
  if (only(PhraseKind::kYesNo, PhraseKind::kFunction, all, phrases)) return {};
  const PhraseList& function_words = phrases.of(PhraseKind::kFunction);
  std::vector<std::string> out;
  std::string unspaced;  // the character before, when it is of an unspaced script
  bool paired = false;   // it stands in a pair already
  const auto close = [&] {
    if (!unspaced.empty() && !paired) out.push_back(unspaced);
    unspaced.clear();
    paired = false;
  };
  for (size_t i = 0; i < all.size();) {
    if (const size_t length = function_words.match(all, i, true); length > 0) {
      close();
      i += length;
      continue;
    }
    if (!is_unspaced(all[i])) {
      close();
      out.push_back(all[i]);
    } else {
      if (!unspaced.empty()) out.push_back(unspaced + all[i]);
      paired = !unspaced.empty();
      unspaced = all[i];
    }
    ++i;
  }
  close();
  return out;
}

bool says_something(std::string_view text, const QuestionForms& forms) {
  const std::vector<std::string> all = words(text);
  if (says_nothing(all, forms.phrases())) return false;
  return !content_words(text, forms).empty() ||
         find_phrase(all, PhraseKind::kYesNo, forms.phrases()).length > 0;
}

// The words of each clause of a sentence; "but" parts clauses as a comma does.
std::vector<std::vector<std::string>> clauses_of(std::string_view sentence,
                                                 const Phrases& phrases) {
  std::vector<std::vector<std::string>> clauses;
  for (const ByteRange& range : clause_ranges(sentence)) {
    const auto all = words(sentence.substr(range.begin, range.end - range.begin));
    clauses.emplace_back();
    for (size_t i = 0; i < all.size();) {
      const size_t but = phrases.of(PhraseKind::kContrast).match(all, i, true);
      if (but > 0) {
        clauses.emplace_back();
        i += but;
      } else {
        clauses.back().push_back(all[i++]);
      }
    }
  }
  return clauses;
}

// Of a sentence with an unknown phrase.
ReplyKind kind_of_unknown(std::string_view sentence, const QuestionForms& forms) {
  if (has_question_mark(sentence)) return ReplyKind::kAsksBack;
  const Phrases& phrases = forms.phrases();
  bool wants_help = false;
  for (const auto& clause : clauses_of(sentence, phrases)) {
    const Found unknown = find_phrase(clause, PhraseKind::kUnknown, phrases);
    if (unknown.length > 0) {
      const auto after = std::span(clause).subspan(unknown.at + unknown.length);
      wants_help = wants_help || find_phrase(after, PhraseKind::kExplain, phrases).length > 0;
    } else if (!content_of(clause, phrases).empty() &&
               !only(PhraseKind::kJoiner, PhraseKind::kThanks, clause, phrases)) {
      return ReplyKind::kFact;
    }
  }
  return wants_help ? ReplyKind::kAsksBack : ReplyKind::kUnknown;
}

}  // namespace

ReplyKind reply_kind(std::string_view sentence, const QuestionForms& forms) {
  const std::vector<std::string> all = words(sentence);
  const Phrases& phrases = forms.phrases();
  if (says_nothing(all, phrases) && !forms.asks(sentence)) return ReplyKind::kNothing;
  if (find_phrase(all, PhraseKind::kAsksBack, phrases).length > 0) return ReplyKind::kAsksBack;
  if (find_phrase(all, PhraseKind::kUnknown, phrases).length > 0) {
    return kind_of_unknown(sentence, forms);
  }
  const std::string_view before = forms.before_question(sentence);
  if (before.size() == sentence.size()) return ReplyKind::kFact;
  const bool answers = has_question_mark(sentence)  // "If it won't, what do I do?" does not
                           ? find_phrase(words(before), PhraseKind::kYesNo, phrases).length > 0
                           : says_something(before, forms);
  return answers ? ReplyKind::kFact : ReplyKind::kAsksBack;
}

std::string_view statement_of(std::string_view sentence, const QuestionForms& forms) {
  const std::string_view before = forms.before_question(sentence);
  switch (reply_kind(sentence, forms)) {
    case ReplyKind::kUnknown:
    case ReplyKind::kNothing:
      return {};
    case ReplyKind::kFact:
      return has_question_mark(sentence) ? before : sentence;
    case ReplyKind::kAsksBack:
      break;
  }
  const bool asks_for_help = before.size() == sentence.size();  // "I don't understand."
  return asks_for_help || !says_something(before, forms) ? std::string_view() : before;
}

std::vector<std::string> content_words(std::string_view text, const QuestionForms& forms) {
  return content_of(words(text), forms.phrases());
}

}  // namespace l2a
