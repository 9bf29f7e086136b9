#include "hindsight/reply.h"

#include <algorithm>

#include "base/utf8.h"

namespace l2a {
namespace {

// The first index in `words` at which a phrase of `kind` stands, with its length; length 0 when
// there is none.
struct Found {
  size_t at = 0, length = 0;
};
Found find_phrase(const std::vector<std::string>& words, PhraseKind kind, const Phrases& phrases) {
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

// Only "yes", "no" and function words.
bool says_yes_or_no(const std::vector<std::string>& words, const Phrases& phrases) {
  for (size_t i = 0; i < words.size();) {
    const size_t length = std::max(phrases.of(PhraseKind::kYesNo).match(words, i, true),
                                   phrases.of(PhraseKind::kFunction).match(words, i, true));
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

bool says_something(std::string_view text, const QuestionForms& forms) {
  const std::vector<std::string> all = words(text);
  if (says_nothing(all, forms.phrases())) return false;
  return !content_words(text, forms).empty() ||
         find_phrase(all, PhraseKind::kYesNo, forms.phrases()).length > 0;
}

ReplyKind kind_of_unknown(std::string_view sentence, const std::vector<std::string>& all,
                          const Found& unknown, const QuestionForms& forms) {
  if (has_question_mark(sentence)) return ReplyKind::kAsksBack;
  const std::vector<std::string> rest(
      all.begin() + static_cast<std::ptrdiff_t>(unknown.at + unknown.length), all.end());
  if (find_phrase(rest, PhraseKind::kExplain, forms.phrases()).length > 0) {
    return ReplyKind::kAsksBack;
  }
  for (const ByteRange& clause : clause_ranges(sentence)) {
    const std::string_view text = sentence.substr(clause.begin, clause.end - clause.begin);
    const bool is_unknown =
        find_phrase(words(text), PhraseKind::kUnknown, forms.phrases()).length > 0;
    if (!is_unknown && !content_words(text, forms).empty()) return ReplyKind::kFact;
  }
  return ReplyKind::kUnknown;
}

}  // namespace

ReplyKind reply_kind(std::string_view sentence, const QuestionForms& forms) {
  const std::vector<std::string> all = words(sentence);
  const Phrases& phrases = forms.phrases();
  if (says_nothing(all, phrases) && !forms.asks(sentence)) return ReplyKind::kNothing;
  if (find_phrase(all, PhraseKind::kAsksBack, phrases).length > 0) return ReplyKind::kAsksBack;
  if (const Found unknown = find_phrase(all, PhraseKind::kUnknown, phrases); unknown.length > 0) {
    return kind_of_unknown(sentence, all, unknown, forms);
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
  const std::vector<std::string> all = words(text);
  if (says_yes_or_no(all, forms.phrases())) return {};
  const PhraseList& function_words = forms.phrases().of(PhraseKind::kFunction);
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

}  // namespace l2a
