// What the actions of `learn2ask model` share.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "weights/checkpoint.h"

namespace l2a {

// The argument MODEL, whose default is the embedded model.
void add_model_argument(CLI::App& action, std::string& path);
Checkpoint open_model(const std::string& path);  // as the argument says

// `logits` and `generate`: the actions that run the model.
void add_model_run_actions(CLI::App& command);

}  // namespace l2a
