#include "cli/recipe.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/testing.h"
#include "cli/program.h"

namespace l2a {
namespace {

class Recipe : public ::testing::Test {
 protected:
  std::vector<CommandLine> read(const std::string& text, const RecipeVariables& variables = {}) {
    write_file_atomic(path(), text);
    return read_recipe(path(), variables);
  }
  // What is said about the text, from the line's number on.
  std::string refusal(const std::string& text, const RecipeVariables& variables = {}) {
    const std::string message = failure_of([&] { read(text, variables); });
    const std::string place = "recipe: " + path() + ":";
    EXPECT_EQ(message.substr(0, place.size()), place);
    return message.substr(std::min(place.size(), message.size()));
  }
  std::string path() const { return (dir_ / "recipe.yaml").string(); }

 private:
  TempDir dir_;
};

TEST_F(Recipe, IsCommandsInTheirOrder) {
  const auto commands = read(
      "# a comment\n"
      "steps:\n"
      "  - import logs.jsonl   --out data\n"
      "  - run: label data/train.jsonl\n"
      "  - eval x\n"
      "      --split test\n");
  EXPECT_EQ(commands, (std::vector<CommandLine>{{"import", "logs.jsonl", "--out", "data"},
                                                {"label", "data/train.jsonl"},
                                                {"eval", "x", "--split", "test"}}));
  EXPECT_EQ(joined(commands[0]), "import logs.jsonl --out data");
  EXPECT_EQ(joined({}), "");
}

TEST_F(Recipe, PutsValuesWhereVariablesStand) {
  const RecipeVariables variables = {
      {"out", "my runs/1"}, {"seed", "7"}, {"data", "${seed}"}, {"unused", std::nullopt}};
  const auto commands = read(
      "steps:\n"
      "  - a ${out}/${seed}${seed}.x --y=${data}\n"
      "  - run: b\n"
      "    set:\n"
      "      sft.seed: ${seed}\n"
      "      note: at ${out} $ {seed}\n",
      variables);
  // A value is one word with its spaces, and is not read again.
  EXPECT_EQ(commands[0], (CommandLine{"a", "my runs/1/77.x", "--y=${seed}"}));
  EXPECT_EQ(commands[1],
            (CommandLine{"b", "--set", "sft.seed=7", "--set", "note=at my runs/1 $ {seed}"}));
}

TEST_F(Recipe, TakesSettingsAsTheyAreWritten) {
  const auto commands = read(
      "steps:\n"
      "  - run: train\n"
      "    set:\n"
      "      b.lr: 2e-3\n"
      "      a.flag: true\n"
      "      text: 'two words'\n"
      "      none: ''\n");
  EXPECT_EQ(commands,
            (std::vector<CommandLine>{{"train", "--set", "b.lr=2e-3", "--set", "a.flag=true",
                                       "--set", "text=two words", "--set", "none="}}));
}

TEST_F(Recipe, SaysWhatIsWrongAndWhere) {
  const struct {
    std::string text, message;
  } cases[] = {
      {"", "1: expected the single key 'steps' with a list of commands"},
      {"- import\n", "1: expected the single key 'steps' with a list of commands"},
      {"step:\n  - import\n", "1: expected the single key 'steps' with a list of commands"},
      {"steps: import\n", "1: expected the single key 'steps' with a list of commands"},
      {"steps:\n  - a\nmore: 1\n", "1: expected the single key 'steps' with a list of commands"},
      {"steps:\n  - a\n  - [b]\n", "3: a step is a command, or a map with 'run' and 'set'"},
      {"steps:\n  - set:\n      a: 1\n", "2: a step is a command, or a map with 'run' and 'set'"},
      {"steps:\n  - run: [a]\n", "2: a step is a command, or a map with 'run' and 'set'"},
      {"steps:\n  - a\n  - ''\n", "3: an empty command"},
      {"steps:\n  - run: ' '\n", "2: an empty command"},
      {"steps:\n  - run: a\n    sets:\n      b: 1\n", "3: unknown key 'sets'"},
      {"steps:\n  - run: a\n    set: b=1\n", "3: 'set' expects settings, one 'key: value' a line"},
      {"steps:\n  - run: a\n    set:\n      b: [1, 2]\n", "4: a setting is one value"},
      {"steps:\n  - a\n  - b ${nme}/x\n", "3: unknown variable in '${nme}/x'"},
      {"steps:\n  - a ${name\n", "2: unknown variable in '${name'"},
      {"steps:\n  - a ${}\n", "2: unknown variable in '${}'"},
      {"steps:\n  - a\n  - b x/${data}/y\n", "3: ${data} has no value: give --data"},
      {"steps:\n  - run: a\n    set:\n      b: ${data}\n", "4: ${data} has no value: give --data"},
  };
  const RecipeVariables variables = {{"name", "x"}, {"data", std::nullopt}};
  for (const auto& c : cases) EXPECT_EQ(refusal(c.text, variables), c.message) << c.text;
}

TEST_F(Recipe, NamesTheLineThatIsNoYaml) {
  EXPECT_EQ(refusal("steps:\n  - a\n  - {run: b\n"), "4: end of map flow not found");
  EXPECT_EQ(failure_of([&] { read_recipe("/nowhere/recipe.yaml", {}); }),
            "read: /nowhere/recipe.yaml: No such file or directory");
}

// The recipes that come with the program: every variable is one that `demo` has, every option and
// setting one that the command knows.
TEST(ShippedRecipes, CanBeRead) {
  const RecipeVariables variables = {{"out", "OUT"}, {"seed", "1"}, {"data", "DATA"}};
  size_t recipes = 0;
  for (const auto& file : std::filesystem::directory_iterator(L2A_SOURCE_DIR "/recipes")) {
    const auto commands = read_recipe(file.path(), variables);
    ++recipes;
    EXPECT_EQ(commands.back().front(), "eval") << file.path();
    for (const CommandLine& command : commands) {
      EXPECT_NO_THROW(check_command(command)) << file.path() << ": " << joined(command);
    }
  }
  EXPECT_GT(recipes, 1u);
}

}  // namespace
}  // namespace l2a
