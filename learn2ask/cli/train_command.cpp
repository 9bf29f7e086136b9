// `learn2ask train sft`, `train grpo` and `train dpo`.
#include <memory>

#include "cli/command.h"
#include "cli/training_step.h"

namespace l2a {
namespace {

CLI::App* add_trainer(CLI::App& train, const char* name, const char* summary,
                      TrainingFiles& files) {
  auto* command = train.add_subcommand(name, summary);
  command->add_option("LABELS", files.labels, "labelled sessions to train on")->required();
  command->add_option("--dev", files.dev, "labelled sessions to choose the best checkpoint by")
      ->type_name("LABELS");
  command->add_option("--adapter", files.adapter, "adapter to start from; else a fresh one")
      ->type_name("DIR");
  command->add_option("--out", files.out, "run directory; an interrupted run goes on there")
      ->required()
      ->type_name("DIR");
  return command;
}

}  // namespace

void add_train_command(CLI::App& app) {
  auto* train = app.add_subcommand("train", "Train a policy on labelled sessions");
  train->require_subcommand(1);

  auto sft_files = std::make_shared<TrainingFiles>();
  auto* sft = add_trainer(*train, "sft", "Imitate the expert's questions and stops", *sft_files);
  auto sft_settings = Settings::add<SftSettings>(*sft);
  sft->callback([=] { train_sft_step(sft_settings->read<SftSettings>(), *sft_files); });

  auto grpo_files = std::make_shared<TrainingFiles>();
  auto* grpo = add_trainer(*train, "grpo",
                           "Reinforce replies that reach what was still to be asked", *grpo_files);
  auto dry_run = std::make_shared<bool>(false);
  add_dry_run(*grpo, *dry_run);
  auto grpo_settings = Settings::add<GrpoSettings>(*grpo);
  grpo->callback([=] {
    const auto settings = grpo_settings->read<GrpoSettings>();
    if (*dry_run) return print_estimate(estimate_grpo(settings, *grpo_files));
    train_grpo_step(settings, *grpo_files);
  });

  auto dpo_files = std::make_shared<TrainingFiles>();
  auto* dpo = add_trainer(*train, "dpo",
                          "Prefer replies that earn more to those that earn less (DPO, IPO, KTO)",
                          *dpo_files);
  add_dry_run(*dpo, *dry_run);
  auto dpo_settings = Settings::add<DpoSettings>(*dpo);
  dpo->callback([=] {
    const auto settings = dpo_settings->read<DpoSettings>();
    if (*dry_run) return print_estimate(estimate_dpo(settings, *dpo_files));
    train_dpo_step(settings, *dpo_files);
  });
}

}  // namespace l2a
