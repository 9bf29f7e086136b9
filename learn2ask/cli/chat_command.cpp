// `learn2ask chat`: talk to a policy in the terminal.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/utf8.h"
#include "cli/command.h"
#include "cli/policy_setup.h"
#include "model/lora.h"
#include "rollout/model_policy.h"

namespace l2a {
namespace {

struct ChatOptions {
  PolicyOptions policy;
  DecodingOptions decoding;

  template <class Visitor>
  void visit(Visitor& v) {
    v.group("policy", policy);
    v.group("decoding", decoding);
  }
};

// On one line: a journal's entries are lines.
std::string csv_field(const std::string& text) {
  std::string field = "\"";
  for (const char c : text) {
    if (c == '"') field += '"';
    field += c == '\n' || c == '\r' ? ' ' : c;
  }
  return field + '"';
}

// One message a row, written when it is said: complete at any moment, and `learn2ask import`
// reads it.
class Transcript {
 public:
  explicit Transcript(const std::string& path) {
    if (path.empty()) return;
    constexpr const char* kHead = "session,role,text,time";
    journal_.emplace(path, kHead);
    std::error_code ec;
    if (std::filesystem::file_size(path, ec) == 0) journal_->append(kHead);
  }

  void add(Role role, const std::string& text) {
    if (!journal_) return;
    journal_->append(session_ + "," + role_name(role) + "," + csv_field(text) + "," +
                     utc_timestamp());
  }

 private:
  std::optional<Journal> journal_;
  std::string session_ = "chat-" + utc_timestamp();
};

// Lines of the standard input. It is read past std::cin: what lies in a buffer there poll() does
// not see.
class TypedLines {
 public:
  // Waits for the next one. nullopt at the end of the input, and where Ctrl-C came before a line
  // did.
  std::optional<std::string> next() {
    while (!ended_ && pending_.find('\n') == pending_.npos) {
      if (!wait_for_input()) return std::nullopt;
      char bytes[4096];
      const ssize_t got = ::read(STDIN_FILENO, bytes, sizeof bytes);
      if (got > 0) pending_.append(bytes, static_cast<size_t>(got));
      ended_ = got == 0 || (got < 0 && errno != EINTR);
    }
    if (pending_.empty()) return std::nullopt;
    const size_t end = std::min(pending_.find('\n'), pending_.size());
    std::string line = pending_.substr(0, end);
    pending_.erase(0, end + 1);
    return line;
  }

 private:
  // False: interrupted. It looks again and again: a signal wakes nobody if it came just before, or
  // if another thread took it.
  static bool wait_for_input() {
    constexpr int kLooksForInterruptMs = 50;
    pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    while (::poll(&input, 1, kLooksForInterruptMs) <= 0) {
      if (is_interrupted()) return false;
    }
    return true;
  }

  std::string pending_;  // read, and not yet given
  bool ended_ = false;
};

// The user's next message; nullopt at the end of the input, on /quit or on Ctrl-C.
std::optional<std::string> read_message(TypedLines& lines) {
  while (true) {
    std::printf("you     > ");
    std::fflush(stdout);
    auto line = lines.next();
    if (!line || *line == "/quit") return std::nullopt;
    if (find_bad_utf8(*line)) {
      std::printf("          (that was not UTF-8; please type it again)\n");
      continue;
    }
    if (!trim(*line).empty()) return line;
  }
}

void append_turn(std::vector<Turn>& turns, Role role, const std::string& text) {
  turns.push_back({role, text, turns.size(), 1});
}

void show_reply(const Reply& reply, const Result<Action>& action) {
  if (!action) {
    std::printf("policy  > %s\n          [malformed: %s]\n", shown(reply.text, 2000).c_str(),
                action.error().message.c_str());
  } else if (action->decision == Decision::kStop) {
    std::printf("policy  > %s\n          [stop: it knows enough]\n",
                std::string(kStopText).c_str());
  } else {
    std::printf("policy  > %s\n          [continue]\n", shown(action->question, 2000).c_str());
  }
}

void chat(const ChatOptions& options, const std::string& adapter_directory,
          const std::string& transcript_file) {
  PolicySetup setup(options.policy, Fusion::kProduct);
  std::optional<LoraAdapter> adapter;
  if (!adapter_directory.empty()) {
    adapter = LoraAdapter::load(adapter_directory, setup.model.config());
  }
  ModelPolicy policy("chat", setup.model, adapter ? &*adapter : nullptr, setup.window());
  Transcript transcript(transcript_file);
  std::printf("Say what you need help with. /quit or Ctrl-D ends the chat.\n");

  TypedLines lines;
  std::vector<Turn> turns;
  while (const auto message = read_message(lines)) {
    throw_if_interrupted();
    append_turn(turns, Role::kUser, *message);
    transcript.add(Role::kUser, *message);
    const Context context{"chat/" + std::to_string(turns.size()), turns};
    const Reply reply = policy.reply(std::span(&context, 1), options.decoding)[0][0];
    const auto action = parse_reply(reply, setup.format);
    show_reply(reply, action);
    if (!action) return;  // what is no reply is no log to learn from
    const bool stops = action->decision == Decision::kStop;
    const std::string said = stops ? std::string(kStopText) : action->question;
    transcript.add(Role::kAssistant, said);
    if (stops) return;
    append_turn(turns, Role::kAssistant, said);
  }
  std::printf("\n");
}

}  // namespace

void add_chat_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "chat", "Talk to a policy in the terminal; shows what it asks and whether it would stop");
  auto adapter = std::make_shared<std::string>();
  auto transcript = std::make_shared<std::string>();
  command->add_option("--adapter", *adapter, "adapter of a training run; without it the base model")
      ->type_name("DIR");
  command
      ->add_option("--transcript", *transcript,
                   "append the dialogue here, as CSV that import reads")
      ->type_name("FILE");
  auto settings = Settings::add<ChatOptions>(*command);
  command->callback([=] { chat(settings->read<ChatOptions>(), *adapter, *transcript); });
}

}  // namespace l2a
