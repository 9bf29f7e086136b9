// Dialogues as OpenAI's interface has them: [{"role": ..., "content": ...}, ...].
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "dialogue/session.h"

namespace l2a {

struct OpenaiDialogue {
  std::string system;  // empty: none
  std::vector<Turn> turns;
};

// The system message, if any, comes first. kInvalidInput naming the message otherwise.
Result<OpenaiDialogue> dialogue_from_json(const Json& messages);

}  // namespace l2a
