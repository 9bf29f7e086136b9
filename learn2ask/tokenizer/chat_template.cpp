#include "tokenizer/chat_template.h"

#include <algorithm>

#include "base/utf8.h"
#include "tokenizer/recognise_format.h"

namespace l2a {
namespace {

std::string known_names() {
  std::string names;
  for (const ChatFormat& format : known_chat_formats()) {
    names += (names.empty() ? "" : ", ") + format.name;
  }
  return names;
}

Error unknown(const std::string& what) {
  return {ErrorCode::kUnsupported, "chat template: " + what + " (known: " + known_names() +
                                       "; policy.chat_template or --chat-template names one)"};
}

// Token ids of markup and text: what lies between two special tokens is cut as a whole.
class IdSink {
 public:
  explicit IdSink(const BpeTokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void add(ChatPart part, std::string_view text) {
    if (part == ChatPart::kReplyText) flush();
    if (part == ChatPart::kMarkup) {
      add_markup(text);
    } else {
      pending_ += text;
    }
  }

  void flush() {
    if (pending_.empty()) return;
    const auto more = tokenizer_.encode(pending_, place_).value_or_throw();
    ids_.insert(ids_.end(), more.begin(), more.end());
    pending_.clear();
    place_ = TextPlace::kInside;
  }

  size_t size() const { return ids_.size(); }  // less what is still to be cut
  std::vector<int32_t> ids() {
    flush();
    return std::move(ids_);
  }

 private:
  void add_markup(std::string_view text) {
    while (!text.empty()) {
      if (const auto special = tokenizer_.special_at(text)) {
        flush();
        ids_.push_back(special->id);
        place_ = TextPlace::kAfterSpecial;
        text.remove_prefix(special->length);
      } else {
        pending_ += text[0];
        text.remove_prefix(1);
      }
    }
  }

  const BpeTokenizer& tokenizer_;
  std::vector<int32_t> ids_;
  std::string pending_;
  TextPlace place_ = TextPlace::kStart;
};

}  // namespace

ChatTemplate::ChatTemplate(const BpeTokenizer& tokenizer, ChatFormat format)
    : tokenizer_(&tokenizer),
      format_(std::move(format)),
      end_(tokenizer.special_id(format_.end_of_turn)) {}

Result<ChatTemplate> ChatTemplate::recognise(std::string_view jinja, const BosEos& tokens,
                                             const BpeTokenizer& tokenizer) {
  auto format = recognise_format(jinja, tokens.bos, tokens.eos);
  if (!format) return unknown("'" + shown(jinja) + "': " + format.error().message);
  return ChatTemplate(tokenizer, *std::move(format));
}

Result<ChatTemplate> ChatTemplate::named(std::string_view name, const BosEos& tokens,
                                         const BpeTokenizer& tokenizer) {
  for (const ChatFormat& format : known_chat_formats()) {
    if (format.name == name) {
      return ChatTemplate(tokenizer, with_tokens(format, tokens.bos, tokens.eos));
    }
  }
  return unknown("no format '" + shown(name) + "'");
}

std::optional<std::string> ChatTemplate::refusal(std::string_view system,
                                                 std::span<const Turn> turns) const {
  const char* why = l2a::refusal(format_, system, turns);
  if (!why) return std::nullopt;
  return "chat template " + format_.name + ": " + why;
}

void ChatTemplate::refuse_if_needed(std::string_view system, std::span<const Turn> turns) const {
  if (const auto why = refusal(system, turns)) fail_input(*why);
}

std::vector<int32_t> ChatTemplate::context_ids(std::string_view system,
                                               std::span<const Turn> turns) const {
  refuse_if_needed(system, turns);
  IdSink sink(*tokenizer_);
  render_chat(format_, system, turns, true,
              [&](ChatPart part, std::string_view text) { sink.add(part, text); });
  return sink.ids();
}

std::vector<int32_t> ChatTemplate::reply_ids(std::string_view text) const {
  IdSink sink(*tokenizer_);
  sink.add(ChatPart::kMarkup, format_.reply.empty() ? format_.user.after : format_.reply);
  sink.flush();
  const size_t header = sink.size();
  sink.add(ChatPart::kReplyText, assistant_text(format_, text));
  sink.add(ChatPart::kMarkup, format_.end_of_turn);
  auto ids = sink.ids();
  ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(header));
  return ids;
}

int64_t ChatTemplate::turn_tokens(const Turn& turn) const {
  IdSink sink(*tokenizer_);
  render_turn(format_, turn, "",
              [&](ChatPart part, std::string_view text) { sink.add(part, text); });
  return static_cast<int64_t>(sink.ids().size());
}

std::string ChatTemplate::render(std::string_view system, std::span<const Turn> turns,
                                 bool open_reply) const {
  refuse_if_needed(system, turns);
  std::string text;
  render_chat(format_, system, turns, open_reply,
              [&](ChatPart, std::string_view part) { text += part; });
  return text;
}

std::optional<std::string> ChatTemplate::prefix_gap() const {
  const std::vector<Turn> turns = {{Role::kUser, "It hurts.", 0, 1},
                                   {Role::kAssistant, "Since when?", 1, 1},
                                   {Role::kUser, "Two days.", 2, 1}};
  const bool has_system = format_.system_place != ChatFormat::System::kRefused;
  const std::string_view system = has_system ? "Ask." : "";
  auto before = context_ids(system, std::span(turns).first(1));
  const auto reply = reply_ids(turns[1].text);
  before.insert(before.end(), reply.begin(), reply.end());
  const auto after = context_ids(system, turns);
  const auto [left, right] =
      std::mismatch(before.begin(), before.end(), after.begin(), after.end());
  if (left == before.end()) return std::nullopt;
  const auto shared = static_cast<size_t>(left - before.begin());
  const auto excerpt = [&](std::span<const int32_t> ids) {
    return "'" + shown(tokenizer_->decode(ids.first(std::min<size_t>(ids.size(), 8)))) + "'";
  };
  return "a context and its reply share " + std::to_string(shared) + " of " +
         std::to_string(before.size()) + " tokens with the next context: after " +
         excerpt(std::span(before).first(shared).last(std::min<size_t>(shared, 4))) + " one has " +
         excerpt(std::span(before).subspan(shared)) + ", the other " +
         excerpt(std::span(after).subspan(shared));
}

}  // namespace l2a
