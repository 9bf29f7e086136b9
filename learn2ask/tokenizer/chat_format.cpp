#include "tokenizer/chat_format.h"

#include <algorithm>

#include "base/error.h"
#include "tokenizer/jinja.h"

namespace l2a {
namespace {

using System = ChatFormat::System;

constexpr std::string_view kThoughtsEnd = "</think>";

ChatFormat chatml() {
  ChatFormat f;
  f.name = "chatml";
  f.system = {"<|im_start|>system\n", "<|im_end|>\n"};
  f.user = {"<|im_start|>user\n", "<|im_end|>\n"};
  f.assistant = f.reply = "<|im_start|>assistant\n";
  f.end_of_turn = "<|im_end|>";
  f.after_reply = "\n";
  return f;
}

// Qwen3 with `enable_thinking` off.
ChatFormat qwen3() {
  ChatFormat f = chatml();
  f.name = "qwen3";
  f.reply = f.assistant + "<think>\n\n</think>\n\n";
  f.drops_thoughts = true;
  return f;
}

ChatFormat llama3() {
  ChatFormat f;
  f.name = "llama3";
  f.opening = "{bos}";
  f.system = {"<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"};
  f.user = {"<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"};
  f.assistant = f.reply = "<|start_header_id|>assistant<|end_header_id|>\n\n";
  f.end_of_turn = "<|eot_id|>";
  f.trims_system = f.trims_user = f.trims_assistant = true;
  return f;
}

// Llama 3.1, 3.2 and 3.3. The date is the one that 3.1's text has; 3.2 and 3.3 put today's there
// where they can learn it, which would make a model's input change overnight.
ChatFormat llama31() {
  ChatFormat f = llama3();
  f.name = "llama3.1";
  f.system_place = System::kAlwaysMessage;
  f.system.before += "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";
  return f;
}

ChatFormat gemma() {
  ChatFormat f;
  f.name = "gemma";
  f.opening = "{bos}";
  f.system_place = System::kRefused;
  f.user = {"<start_of_turn>user\n", "<end_of_turn>\n"};
  f.assistant = f.reply = "<start_of_turn>model\n";
  f.end_of_turn = "<end_of_turn>";
  f.after_reply = "\n";
  f.trims_user = f.trims_assistant = true;
  f.alternates_from_user = true;
  return f;
}

ChatFormat gemma3() {
  ChatFormat f = gemma();
  f.name = "gemma3";
  f.system_place = System::kFirstUser;
  f.system.after = "\n\n";
  return f;
}

ChatFormat zephyr() {
  ChatFormat f;
  f.name = "zephyr";
  f.system = {"<|system|>\n", "{eos}\n"};
  f.user = {"<|user|>\n", "{eos}\n"};
  f.assistant = f.reply = "<|assistant|>\n";
  f.end_of_turn = "{eos}";
  f.after_reply = "\n";
  return f;
}

// Mistral's formats differ in their white space and in the place of the system message.
ChatFormat mistral(std::string name, Frame user, System place) {
  ChatFormat f;
  f.name = std::move(name);
  f.opening = "{bos}";
  f.system_place = place;
  f.system.after = "\n\n";
  f.user = std::move(user);
  f.end_of_turn = "{eos}";
  f.alternates_from_user = true;
  return f;
}

std::vector<ChatFormat> mistral_formats() {
  ChatFormat v01 = mistral("mistral-v0.1", {"[INST] ", " [/INST]"}, System::kRefused);
  v01.after_reply = " ";
  const ChatFormat v02 = mistral("mistral-v0.2", {"[INST] ", " [/INST]"}, System::kRefused);
  ChatFormat v1 = mistral("mistral-v1", {" [INST] ", " [/INST]"}, System::kFirstUser);
  v1.lead = " ";
  ChatFormat v3 = mistral("mistral-v3", {"[INST] ", "[/INST]"}, System::kLastUser);
  v3.lead = " ";
  v3.trims_assistant = true;
  const ChatFormat tekken = mistral("mistral-v3-tekken", {"[INST]", "[/INST]"}, System::kLastUser);
  ChatFormat v7 = mistral("mistral-v7", {"[INST] ", "[/INST]"}, System::kMessage);
  v7.lead = " ";
  v7.system = {"[SYSTEM_PROMPT] ", "[/SYSTEM_PROMPT]"};
  ChatFormat v7_tekken = mistral("mistral-v7-tekken", {"[INST]", "[/INST]"}, System::kMessage);
  v7_tekken.system = {"[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"};
  return {v01, v02, v1, v3, tekken, v7, v7_tekken};
}

std::string stripped_if(bool trims, std::string_view text) {
  return trims ? strip_like_python(text) : std::string(text);
}

void render_system(const ChatFormat& format, std::string_view system, const ChatSink& sink) {
  sink(ChatPart::kMarkup, format.system.before);
  sink(ChatPart::kText, stripped_if(format.trims_system, system));
  sink(ChatPart::kMarkup, format.system.after);
}

// Qwen3's template writes the answer that ends a dialogue after the empty thoughts that it was
// given with, the earlier ones without.
bool ends_after_thoughts(const ChatFormat& format, std::span<const Turn> turns, size_t t) {
  return format.assistant != format.reply && t + 1 == turns.size() &&
         turns[t].role == Role::kAssistant &&
         std::any_of(turns.begin(), turns.end(),
                     [](const Turn& turn) { return turn.role == Role::kUser; });
}

}  // namespace

const std::vector<ChatFormat>& known_chat_formats() {
  static const std::vector<ChatFormat> formats = [] {
    std::vector<ChatFormat> all = {chatml(), qwen3(),  llama3(), llama31(),
                                   gemma(),  gemma3(), zephyr()};
    for (ChatFormat& format : mistral_formats()) all.push_back(std::move(format));
    return all;
  }();
  return formats;
}

const char* refusal(const ChatFormat& format, std::string_view system,
                    std::span<const Turn> turns) {
  const bool joins_user = format.system_place == System::kFirstUser;
  if (!system.empty() && format.system_place == System::kRefused) {
    return "it takes no system message: leave the prompt empty";
  }
  for (size_t t = 0; t < turns.size(); ++t) {
    const bool from_user = turns[t].role == (t % 2 == 0 ? Role::kUser : Role::kAssistant);
    if (format.alternates_from_user && !from_user) {
      return t == 0 ? "it wants the user to speak first: set policy.user_opens to what the user "
                      "is to have said before"
                    : "it wants user and assistant to alternate";
    }
  }
  if (!system.empty() && joins_user && (turns.empty() || turns[0].role != Role::kUser)) {
    return "it puts the system message before the user's first words: set policy.user_opens to "
           "what the user is to have said before";
  }
  return nullptr;
}

std::string assistant_text(const ChatFormat& format, std::string_view text) {
  if (const size_t end = text.rfind(kThoughtsEnd); format.drops_thoughts && end != text.npos) {
    text.remove_prefix(end + kThoughtsEnd.size());
    while (text.starts_with('\n')) text.remove_prefix(1);
  }
  return format.lead + stripped_if(format.trims_assistant, text);
}

void render_turn(const ChatFormat& format, const Turn& turn, std::string_view system,
                 const ChatSink& sink) {
  if (turn.role == Role::kUser) {
    sink(ChatPart::kMarkup, format.user.before);
    if (!system.empty()) render_system(format, system, sink);
    sink(ChatPart::kText, stripped_if(format.trims_user, turn.text));
    sink(ChatPart::kMarkup, format.user.after);
    return;
  }
  sink(ChatPart::kMarkup, format.assistant);
  sink(ChatPart::kReplyText, assistant_text(format, turn.text));
  sink(ChatPart::kMarkup, format.end_of_turn);
  sink(ChatPart::kMarkup, format.after_reply);
}

void render_chat(const ChatFormat& format, std::string_view system, std::span<const Turn> turns,
                 bool open_reply, const ChatSink& sink) {
  if (system.empty()) system = format.default_system;
  const auto taken_by = [&](size_t t) {
    return (format.system_place == System::kFirstUser && t == 0) ||
           (format.system_place == System::kLastUser && t + 1 == turns.size());
  };
  sink(ChatPart::kMarkup, format.opening);
  if (format.system_place == System::kAlwaysMessage ||
      (format.system_place == System::kMessage && !system.empty())) {
    render_system(format, system, sink);
  }
  for (size_t t = 0; t < turns.size(); ++t) {
    if (ends_after_thoughts(format, turns, t)) {
      ChatFormat last = format;
      last.assistant = format.reply;
      Turn turn = turns[t];
      turn.text = assistant_text(format, turn.text);
      turn.text.erase(0, turn.text.find_first_not_of('\n'));
      render_turn(last, turn, "", sink);
    } else {
      render_turn(format, turns[t], taken_by(t) ? system : "", sink);
    }
  }
  if (open_reply) sink(ChatPart::kMarkup, format.reply);
}

}  // namespace l2a
