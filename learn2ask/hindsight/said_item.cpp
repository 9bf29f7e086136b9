#include "hindsight/said_item.h"

#include <utility>

namespace l2a {
namespace {

// Byte `at` of a turn's text as (message, byte of its text). The newline that joins two messages
// belongs to neither and is never asked for.
struct Place {
  size_t message = 0, byte = 0;
};
Place place_of(const Session& session, const Turn& turn, size_t at) {
  Place place{turn.first_message, at};
  while (place.byte > session.messages[place.message].text.size()) {
    place.byte -= session.messages[place.message].text.size() + 1;
    ++place.message;
  }
  return place;
}

}  // namespace

Item said_item(const Session& session, std::span<const Turn> turns, size_t answer_turn,
               const ByteRange& answer, std::string question, size_t question_turn) {
  const Turn& turn = turns[answer_turn];
  const Place begin = place_of(session, turn, answer.begin);
  const Place end = place_of(session, turn, answer.end);
  return {.fact = turn.text.substr(answer.begin, answer.end - answer.begin),
          .question = std::move(question),
          .question_turn = question_turn,
          .answer_turn = answer_turn,
          .source_message = begin.message,
          .source_begin = begin.byte,
          .source_end = end.byte,
          .source_last_message = end.message};
}

}  // namespace l2a
