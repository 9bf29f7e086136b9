// The program's command line: all subcommands on one parser.
#pragma once

#include <memory>

#include <CLI/CLI.hpp>

#include "cli/recipe.h"

namespace l2a {

std::unique_ptr<CLI::App> make_program();

// Parses the words and runs the subcommand. Throws Failure, also for wrong usage.
void run_command(const CommandLine& command);

// Throws the Failure that run_command() would for the words and settings alone; runs nothing.
void check_command(const CommandLine& command);

}  // namespace l2a
