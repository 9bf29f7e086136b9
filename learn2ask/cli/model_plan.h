// `learn2ask model plan`: the memory that rollouts and training take.
#pragma once

#include <CLI/CLI.hpp>

namespace l2a {

void add_model_plan_action(CLI::App& command);

}  // namespace l2a
