#include "tokenizer/chat_template.h"

#include <optional>

#include "base/utf8.h"

namespace l2a {
namespace {

constexpr std::string_view kStart = "<|im_start|>", kEnd = "<|im_end|>";

// The Jinja text of ChatML templates, newlines in literals written out. A template with a system
// message of its own has it between the first two.
constexpr std::string_view kDefaultSystemOpens =
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\n";
constexpr std::string_view kDefaultSystemCloses = "<|im_end|>\n' }}{% endif %}";
constexpr std::string_view kMessage =
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
constexpr std::string_view kForEachMessage = "{% for message in messages %}";

// Some files keep the newline of a Jinja literal as backslash and n.
std::string with_newlines(std::string_view jinja) {
  std::string text;
  for (size_t i = 0; i < jinja.size(); ++i) {
    const bool escaped = jinja.substr(i, 2) == "\\n";
    text += escaped ? '\n' : jinja[i];
    i += escaped;
  }
  return text;
}

// The system message that a ChatML template puts into dialogues without one, empty for the plain
// template; nullopt for any other template.
std::optional<std::string> default_system_of(std::string_view jinja) {
  if (!jinja.ends_with(kMessage)) return std::nullopt;
  jinja.remove_suffix(kMessage.size());
  if (jinja == kForEachMessage) return "";
  if (jinja.size() < kDefaultSystemOpens.size() + kDefaultSystemCloses.size() ||
      !jinja.starts_with(kDefaultSystemOpens) || !jinja.ends_with(kDefaultSystemCloses)) {
    return std::nullopt;
  }
  jinja.remove_prefix(kDefaultSystemOpens.size());
  jinja.remove_suffix(kDefaultSystemCloses.size());
  // A quote would end the literal: then this is another template.
  if (jinja.find_first_of("'\\") != jinja.npos) return std::nullopt;
  return std::string(jinja);
}

}  // namespace

ChatTemplate::ChatTemplate(const BpeTokenizer& tokenizer, std::string default_system)
    : tokenizer_(&tokenizer),
      default_system_(std::move(default_system)),
      start_(tokenizer.special_id(kStart)),
      end_(tokenizer.special_id(kEnd)) {}

Result<ChatTemplate> ChatTemplate::recognise(std::string_view jinja,
                                             const BpeTokenizer& tokenizer) {
  auto default_system = default_system_of(with_newlines(jinja));
  if (!default_system) {
    return Error{ErrorCode::kUnsupported,
                 "chat template: '" + shown(jinja) + "': not one of the known ones (chatml)"};
  }
  return ChatTemplate(tokenizer, std::move(*default_system));
}

std::vector<int32_t> ChatTemplate::context_ids(std::string_view system,
                                               std::span<const Turn> turns) const {
  std::vector<int32_t> ids;
  const auto add_text = [&](std::string_view text) {
    const auto more = tokenizer_->encode(text).value_or_throw();
    ids.insert(ids.end(), more.begin(), more.end());
  };
  const auto add_message = [&](std::string_view role, std::string_view text) {
    const std::string header = std::string(role) + "\n";
    ids.push_back(start_);
    if (role == role_name(Role::kAssistant)) {
      add_text(header);
      add_text(text);
    } else {
      add_text(header + std::string(text));
    }
    ids.push_back(end_);
    add_text("\n");
  };

  if (system.empty()) system = default_system_;
  if (!system.empty()) add_message("system", system);
  for (const Turn& turn : turns) add_message(role_name(turn.role), turn.text);
  ids.push_back(start_);
  add_text(std::string(role_name(Role::kAssistant)) + "\n");
  return ids;
}

std::vector<int32_t> ChatTemplate::reply_ids(std::string_view text) const {
  auto ids = tokenizer_->encode(text).value_or_throw();
  ids.push_back(end_);
  return ids;
}

std::string ChatTemplate::render(std::string_view system, std::span<const Turn> turns,
                                 bool open_reply) const {
  std::string text;
  const auto add_message = [&](std::string_view role, std::string_view content) {
    text.append(kStart).append(role).append("\n").append(content).append(kEnd).append("\n");
  };
  if (system.empty()) system = default_system_;
  if (!system.empty()) add_message("system", system);
  for (const Turn& turn : turns) add_message(role_name(turn.role), turn.text);
  if (open_reply) {
    text.append(kStart).append(role_name(Role::kAssistant)).append("\n");
  }
  return text;
}

}  // namespace l2a
