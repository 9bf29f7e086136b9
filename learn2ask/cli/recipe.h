// A recipe: commands of this program in the order to run them, as a YAML file.
//
//   steps:
//     - generate pharmacy --sessions 700 --seed ${seed} --out ${out}/logs.jsonl
//     - run: train sft ${out}/labels/train.jsonl --out ${out}/sft
//       set:
//         sft.epochs: 2
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace l2a {

// The words of one command, without the program's name.
using CommandLine = std::vector<std::string>;

// Name -> value; nullopt for one whose option, --NAME, was not given.
using RecipeVariables = std::map<std::string, std::optional<std::string>>;

// Reads a recipe and puts the values of `variables` where ${name} stands. Words are separated by
// white space; a variable may hold spaces, the text itself cannot quote them. Each entry of `set`
// becomes --set KEY=VALUE. Throws Failure: "recipe: FILE:LINE: why", also where a variable has no
// value.
std::vector<CommandLine> read_recipe(const std::string& path, const RecipeVariables& variables);

// The words as one line, for people and for the journal of finished steps.
std::string joined(const CommandLine& command);

// The commands in such a journal (each line has "command"), in order. Throws Failure.
std::vector<std::string> read_history(const std::string& journal);

}  // namespace l2a
