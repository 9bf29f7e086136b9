// What the actions of `learn2ask model` share.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace l2a {

// The argument MODEL, for open_model().
void add_model_argument(CLI::App& action, std::string& path);

// --chat-template NAME; empty: the one that the model's own template is recognised as.
void add_chat_template_option(CLI::App& action, std::string& name);

// `logits` and `generate`: the actions that run the model.
void add_model_run_actions(CLI::App& command);

}  // namespace l2a
