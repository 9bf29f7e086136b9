// An item from where the user says it.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "dialogue/session.h"
#include "hindsight/sample.h"
#include "hindsight/sentence.h"

namespace l2a {

// `answer` are bytes of the text of turns[answer_turn], of which neither end is a newline between
// two of the session's messages: the item's source is counted in those.
Item said_item(const Session& session, std::span<const Turn> turns, size_t answer_turn,
               const ByteRange& answer, std::string question, size_t question_turn);

}  // namespace l2a
