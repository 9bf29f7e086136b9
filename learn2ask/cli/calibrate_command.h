// The subcommands of `learn2ask calibrate`, a file each.
#pragma once

#include <CLI/CLI.hpp>

namespace l2a {

void add_calibrate_sample(CLI::App& calibrate);
void add_calibrate_ui(CLI::App& calibrate);
void add_calibrate_import(CLI::App& calibrate);
void add_calibrate_export(CLI::App& calibrate);
void add_calibrate_overrides(CLI::App& calibrate);
void add_calibrate_report(CLI::App& calibrate);
void add_calibrate_run(CLI::App& calibrate);

}  // namespace l2a
