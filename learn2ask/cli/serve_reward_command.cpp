// `learn2ask serve-reward`: rewards for trainers of other kinds, over HTTP.
#include <cstdio>

#include "cli/agreement_check.h"
#include "cli/command.h"
#include "cli/reward_setup.h"
#include "cli/server_options.h"
#include "service/reward_routes.h"

namespace l2a {
namespace {

struct ServeRewardSettings : RewardSettings {
  std::string reply_format = "plain";
  double patience_s = 150;
  int64_t max_body_bytes = 16 << 20;
  int64_t threads = 256;

  template <class Visitor>
  void visit(Visitor& v) {
    v.choice("reply_format", reply_format, {"plain", "tuple"}, "the form of the replies");
    v("patience_s", patience_s, Range{0, 3600},
      "how long a request of OpenRLHF or veRL may wait for replies that could not be scored at "
      "once, before it is answered 503");
    v("max_body_bytes", max_body_bytes, Range{1024, 1 << 30}, "a request's length");
    v("threads", threads, Range{1, 4096}, "connections served at once");
    RewardSettings::visit(v);
  }
};

struct ServeRewardArguments {
  std::string labels, host = "127.0.0.1", ledger = "runs/serve-reward.ledger.jsonl";
  int port = 8100;
};

void serve_rewards(const ServeRewardArguments& arguments, const ServeRewardSettings& settings) {
  require_measured(settings.reward);
  const auto sessions = read_labels(arguments.labels);
  const SampleIndex samples(sessions);
  const auto format = reply_format_from_name(settings.reply_format).value_or_throw();
  HttpServerOptions options = server_options(arguments.host, arguments.port);
  options.max_body_bytes = static_cast<size_t>(settings.max_body_bytes);
  options.threads = static_cast<size_t>(settings.threads);
  HttpServer server(options);
  RewardSetup reward(settings, arguments.ledger, format);
  check_agreement(settings.reward, reward.grader_name());
  reward.require_sessions_of(sessions);
  {
    RewardRoutes routes(
        server, samples,
        [&](std::span<const ScoreRequest> requests, uint64_t attempt) {
          return reward.score(requests, attempt);
        },
        {.highest = max_reward(settings.reward.fusion_kind()), .prompts = reward.prompts()},
        std::chrono::duration<double>(settings.patience_s));
    std::printf("%s gives the rewards of %s (Ctrl-C ends it)\n", server.url().c_str(),
                reward.grader_name().c_str());
    std::fflush(stdout);
    server.run();
    routes.finish();
  }
  if (!reward.costs().empty()) std::printf("%s\n", reward.costs().c_str());
}

}  // namespace

void add_serve_reward_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "serve-reward", "Reward replies over HTTP, for TRL, OpenRLHF and veRL (examples/)");
  auto arguments = std::make_shared<ServeRewardArguments>();
  command->add_option("LABELS", arguments->labels, "labelled sessions that replies are to")
      ->required();
  command
      ->add_option("--host", arguments->host,
                   "address to listen at; others than this machine's own need a token in the "
                   "environment variable LEARN2ASK_TOKEN")
      ->capture_default_str();
  command->add_option("--port", arguments->port, "0: any that is free")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command
      ->add_option("--ledger", arguments->ledger,
                   "journal of the calls of the grader llm; what it says is spent counts towards "
                   "llm.max_spend and llm.max_calls, and a second server needs another one")
      ->capture_default_str()
      ->type_name("FILE");
  auto settings = Settings::add<ServeRewardSettings>(*command);
  command->callback([=] { serve_rewards(*arguments, settings->read<ServeRewardSettings>()); });
}

}  // namespace l2a
