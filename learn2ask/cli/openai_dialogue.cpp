#include "cli/openai_dialogue.h"

#include "base/utf8.h"

namespace l2a {

Result<OpenaiDialogue> dialogue_from_json(const Json& messages) {
  if (!messages.is_array()) return Error{ErrorCode::kInvalidInput, "expected an array of messages"};
  OpenaiDialogue dialogue;
  for (size_t i = 0; i < messages.size(); ++i) {
    const auto refuse = [&](const std::string& why) {
      return Error{ErrorCode::kInvalidInput, "message " + std::to_string(i + 1) + ": " + why};
    };
    if (!messages[i].is_object()) return refuse("expected an object");
    const auto role = get_string(messages[i], "role");
    if (!role) return refuse(role.error().message);
    auto content = get_string(messages[i], "content");
    if (!content) return refuse(content.error().message);
    if (*role == "system" && i == 0) {
      dialogue.system = std::move(*content);
    } else if (*role == "user" || *role == "assistant") {
      const Role who = *role == "user" ? Role::kUser : Role::kAssistant;
      dialogue.turns.push_back({who, std::move(*content), i, 1});
    } else {
      return refuse("'role': '" + shown(*role) +
                    "' where user, assistant and first of all system "
                    "are known");
    }
  }
  return dialogue;
}

}  // namespace l2a
