// learn2ask generate: expert logs with known truth from a domain file.
#include <cstdio>

#include "base/file.h"
#include "base/progress.h"
#include "cli/command.h"
#include "synth/generate.h"

namespace l2a {
namespace {

struct GenerateArguments {
  std::string domain;  // "pharmacy", "laptop", or a path
  uint64_t sessions = 1000;
  uint64_t seed = 1;
  std::string out;
};

double percent(size_t part, size_t whole) {
  return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

void generate(const GenerateArguments& arguments, const GenerateOptions& options) {
  const Domain domain = read_domain(shipped_or_path("domains", arguments.domain));
  FileHeader header;
  header.format = "sessions";
  header.command = "learn2ask generate " + domain.name + " --sessions " +
                   std::to_string(arguments.sessions) + " --seed " + std::to_string(arguments.seed);
  header.config_sha256 = sha256_hex(config_to_yaml(list_config(options)));
  header.input_sha256 = domain.sha256;
  header.extra["domain"] = domain.name;

  Progress progress("generate", arguments.sessions, "sessions");
  const auto summary = generate_file(domain, options, arguments.seed, arguments.sessions, header,
                                     arguments.out, [&] { progress.advance(); });
  progress.finish();
  std::printf(
      "%s: %zu sessions, all distinct (%zu drawn again), %zu turns, %zu of them the expert's\n"
      "stopping is right at %.1f%% of the expert's turns; %.1f%% of them are noisy\n"
      "written to %s\n",
      domain.name.c_str(), summary.sessions, summary.redrawn, summary.turns, summary.expert_turns,
      percent(summary.stops, summary.expert_turns),
      percent(summary.noisy_turns, summary.expert_turns), arguments.out.c_str());
}

}  // namespace

void add_generate_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "generate",
      "Make expert logs by rule, with the truth beside every message, to try things on");
  auto arguments = std::make_shared<GenerateArguments>();
  command->add_option("domain", arguments->domain, "pharmacy, laptop, or a domain file (YAML)")
      ->required();
  command->add_option("--sessions", arguments->sessions, "how many, no two alike")
      ->check(CLI::Range(uint64_t{1}, uint64_t{100'000'000}))
      ->capture_default_str();
  command->add_option("--seed", arguments->seed, "the same seed gives the same sessions")
      ->capture_default_str();
  command->add_option("--out", arguments->out, "sessions file to write")
      ->type_name("FILE")
      ->required();
  auto settings = Settings::add<GenerateOptions>(*command);
  command->callback([=] { generate(*arguments, settings->read<GenerateOptions>()); });
}

}  // namespace l2a
