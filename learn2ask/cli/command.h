// What every subcommand shares: its registration, --config and --set.
//
// A subcommand is one file, `<name>_command.cpp`, with one function that adds it to the program.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/config.h"

namespace l2a {

void add_generate_command(CLI::App& app);
void add_import_command(CLI::App& app);
void add_label_command(CLI::App& app);
void add_inspect_command(CLI::App& app);
void add_grade_command(CLI::App& app);
void add_calibrate_command(CLI::App& app);
void add_serve_reward_command(CLI::App& app);
void add_export_dataset_command(CLI::App& app);
void add_train_command(CLI::App& app);
void add_eval_command(CLI::App& app);
void add_chat_command(CLI::App& app);
void add_model_command(CLI::App& app);
void add_export_command(CLI::App& app);
void add_demo_command(CLI::App& app);

// Adds --config FILE (repeatable) and --set KEY=VALUE (repeatable), with the keys of `Options` as
// the footer of --help. The callback reads them: `auto options = settings->read<Options>();`
// That they can be read is seen as the command line is, before any callback.
class Settings {
 public:
  template <class Options>
  static std::shared_ptr<Settings> add(CLI::App& command) {
    auto settings = std::make_shared<Settings>();
    settings->attach(command, config_help(list_config(Options{})));
    command.parse_complete_callback([settings] { settings->read<Options>(); });
    return settings;
  }

  // `options`, overlaid by the files in order, then by the settings. Throws Failure.
  template <class Options>
  Options read(Options options = {}) const {
    ConfigSource source = load();
    read_config(options, source);
    return options;
  }

 private:
  void attach(CLI::App& command, const std::string& keys_help);
  ConfigSource load() const;
  std::vector<std::string> files_, assignments_;
};

// Throws Failure "WHERE: OPTION: WHY" where one of the options was given.
void refuse_options(const CLI::App& command, const std::string& where,
                    const std::vector<const char*>& options, const std::string& why);

// Throws Failure when there is something at `out`, which nothing can make again.
void refuse_overwriting(const std::string& command, const std::string& out);

// Adds --dry-run to a command that may ask a language model.
void add_dry_run(CLI::App& command, bool& dry_run);

// The folder of prompts/, recipes/ and domains: beside the program when installed, the source
// tree when run from a build. Throws Failure when it is neither.
std::string data_path(const std::string& relative);

// The YAML file of this name in a shipped folder ("pharmacy" in "domains"), or the name itself when
// it looks like a path. Throws Failure: neither; what data_path throws.
std::string shipped_or_path(const std::string& folder, const std::string& name);

}  // namespace l2a
