#include "tokenizer/recognise_format.h"

#include <optional>
#include <vector>

#include "tokenizer/jinja.h"

namespace l2a {
namespace {

// What Llama 3.2's and 3.3's texts take where nothing tells them today's date.
constexpr const char* kDate = "26 Jul 2024";

struct Probe {
  std::string system;
  std::vector<Turn> turns;
  bool open_reply;
  std::optional<std::string> expected;  // what the template writes; nullopt: it raises
};

Turn user(std::string text) { return {Role::kUser, std::move(text), 0, 1}; }
Turn assistant(std::string text) { return {Role::kAssistant, std::move(text), 0, 1}; }

std::vector<Probe> make_probes() {
  const std::vector<Turn> one = {user(" \nIt hurts. \n")};
  const std::vector<Turn> ended = {user("It hurts."), assistant(" \n\nSince when?\n ")};
  const std::vector<Turn> three = {user("It hurts."), assistant("\n Where? "), user(" My knee")};
  const std::vector<Turn> thoughts = {user("a"), assistant("b\n</think>\n\nc"), user("d"),
                                      assistant("e"), user("f")};
  const std::vector<Turn> assistant_first = {assistant("Hello."), user("It hurts.")};
  std::vector<Probe> probes;
  for (const std::string system : {"", " Ask.\n\nOne question. "}) {
    for (const auto& turns : {one, three, thoughts, assistant_first}) {
      probes.push_back({system, turns, true, {}});
    }
    probes.push_back({system, ended, false, {}});
  }
  return probes;
}

Json messages_of(const Probe& probe) {
  Json messages = Json::array();
  if (!probe.system.empty()) messages.push_back({{"role", "system"}, {"content", probe.system}});
  for (const Turn& turn : probe.turns) {
    messages.push_back({{"role", role_name(turn.role)}, {"content", turn.text}});
  }
  return messages;
}

std::optional<std::string> written_by(const ChatFormat& format, const Probe& probe) {
  if (refusal(format, probe.system, probe.turns)) return std::nullopt;
  std::string text;
  render_chat(format, probe.system, probe.turns, probe.open_reply,
              [&](ChatPart, std::string_view part) { text += part; });
  return text;
}

bool is_template(const ChatFormat& format, const std::vector<Probe>& probes) {
  for (const Probe& probe : probes) {
    if (written_by(format, probe) != probe.expected) return false;
  }
  return true;
}

// What the template puts before a dialogue without a system message, if it is that format's frame
// around some text.
std::string default_system_of(const ChatFormat& format, const Probe& without_system) {
  const std::string plain = written_by(format, without_system).value_or("");
  std::string_view text = *without_system.expected;
  if (format.system_place != ChatFormat::System::kMessage || !text.ends_with(plain)) return "";
  text.remove_suffix(plain.size());
  const auto& [before, after] = format.system;
  if (text.size() < before.size() + after.size() || !text.starts_with(before) ||
      !text.ends_with(after)) {
    return "";
  }
  return std::string(text.substr(before.size(), text.size() - before.size() - after.size()));
}

// Tries the format as it is and with each of its switches turned.
std::optional<ChatFormat> variant_of(const ChatFormat& format, const std::vector<Probe>& probes) {
  for (unsigned switches = 0; switches < 64; ++switches) {
    ChatFormat variant = format;
    const auto turned = [&](unsigned i) { return (switches >> i & 1) != 0; };
    variant.trims_system ^= turned(0);
    variant.trims_user ^= turned(1);
    variant.trims_assistant ^= turned(2);
    variant.alternates_from_user ^= turned(3);
    variant.drops_thoughts ^= turned(4);
    if (turned(5)) variant.system_place = ChatFormat::System::kRefused;
    variant.default_system = default_system_of(variant, probes.front());
    if (is_template(variant, probes)) return variant;
  }
  return std::nullopt;
}

void put_token(std::string& text, std::string_view name, std::string_view token) {
  for (size_t at = 0; (at = text.find(name, at)) != text.npos; at += token.size()) {
    text.replace(at, name.size(), token);
  }
}

}  // namespace

ChatFormat with_tokens(ChatFormat format, std::string_view bos, std::string_view eos) {
  for (std::string* text : {&format.opening, &format.system.before, &format.system.after,
                            &format.user.before, &format.user.after, &format.end_of_turn}) {
    put_token(*text, "{bos}", bos);
    put_token(*text, "{eos}", eos);
  }
  return format;
}

Result<ChatFormat> recognise_format(std::string_view jinja, std::string_view bos,
                                    std::string_view eos) {
  const auto text = JinjaTemplate::parse(jinja);
  if (!text) return text.error();
  std::vector<Probe> probes = make_probes();
  for (Probe& probe : probes) {
    auto written = text->render({{"messages", messages_of(probe)},
                                 {"add_generation_prompt", probe.open_reply},
                                 {"tools", nullptr},
                                 {"documents", nullptr},
                                 {"enable_thinking", false},
                                 {"date_string", kDate},
                                 {"bos_token", bos},
                                 {"eos_token", eos}});
    if (written) {
      probe.expected = *std::move(written);
    } else if (written.error().code != ErrorCode::kInvalidInput || &probe == &probes.front()) {
      return Error{ErrorCode::kUnsupported, written.error().message};
    }
  }
  for (const ChatFormat& format : known_chat_formats()) {
    if (auto found = variant_of(with_tokens(format, bos, eos), probes)) return *std::move(found);
  }
  return Error{ErrorCode::kUnsupported, "it writes none of the known formats"};
}

}  // namespace l2a
