#include "base/config.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/rng.h"
#include "base/testing.h"

namespace l2a {
namespace {

struct Adapter {
  int64_t rank = 16;
  double dropout = 0.05;

  template <class Visitor>
  void visit(Visitor& v) {
    v("rank", rank, Range{1, 256}, "columns of each factor");
    v("dropout", dropout, Range{0, 0.9}, "share of inputs left out");
  }
};

struct Options {
  double lr = 1e-4;
  uint64_t seed = 1;
  bool resume = false;
  std::string model = "base";
  std::string kind = "product";
  std::vector<std::string> layers = {"q", "v"};
  Adapter lora;

  template <class Visitor>
  void visit(Visitor& v) {
    v("lr", lr, Range{0, 1}, "learning rate");
    v("seed", seed, Range{0, 1e18}, "of everything random");
    v.group("lora", lora);
    v("resume", resume, "go on from the last checkpoint");
    v("model", model, "folder or file");
    v.choice("kind", kind, {"product", "sum"}, "fusion");
    v("layers", layers, "which layers");
  }
};

struct All {
  Options train;
  template <class Visitor>
  void visit(Visitor& v) {
    v.group("train", train);
  }
};

Options read(const std::string& yaml, const std::vector<std::string>& settings = {}) {
  ConfigSource source;
  source.add_yaml(yaml, "c.yaml");
  for (const auto& setting : settings) source.add_setting(setting);
  All all;
  read_config(all, source);
  return all.train;
}

TEST(Config, FillsWhatIsGivenAndKeepsTheRest) {
  const Options options = read(
      "train:\n  lr: 2.5e-3\n  lora: {rank: 8}\n  resume: true\n  layers: [a, 'b c']\n"
      "  model: 123\n");
  EXPECT_EQ(options.lr, 2.5e-3);
  EXPECT_EQ(options.lora.rank, 8);
  EXPECT_EQ(options.lora.dropout, 0.05);
  EXPECT_TRUE(options.resume);
  EXPECT_EQ(options.layers, (std::vector<std::string>{"a", "b c"}));
  EXPECT_EQ(options.model, "123");
  EXPECT_EQ(options.kind, "product");
  EXPECT_EQ(read("").lr, 1e-4);
  EXPECT_EQ(read("# only a comment\n").lr, 1e-4);
}

TEST(Config, TheLastSourceWins) {
  const Options options =
      read("train: {lr: 0.5, seed: 3}", {"train.lr=0.25", "train.lr=0.125", "train.model=a=b",
                                         "train.layers=[x, y]", "train.kind=sum"});
  EXPECT_EQ(options.lr, 0.125);
  EXPECT_EQ(options.seed, 3u);
  EXPECT_EQ(options.model, "a=b");
  EXPECT_EQ(options.layers, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(read("", {"train.layers=x"}).layers, std::vector<std::string>{"x"});
  EXPECT_EQ(read("", {"train.model="}).model, "");
}

TEST(Config, SaysWhatIsWrongInWhichLine) {
  const struct {
    const char *yaml, *message;
  } cases[] = {
      {"train:\n  lrr: 1", "config: c.yaml:2: unknown key 'train.lrr': did you mean 'train.lr'?"},
      {"train:\n  lora:\n    rnak: 1",
       "config: c.yaml:3: unknown key 'train.lora.rnak': did you mean 'train.lora.rank'?"},
      {"nothing: 1", "config: c.yaml:1: unknown key 'nothing'"},
      {"train: 1", "config: c.yaml:1: unknown key 'train'"},
      {"train:\n\n  lr: 2", "config: c.yaml:3: 'train.lr': expected a number in [0, 1], got '2'"},
      {"train:\n  lr: nan", "config: c.yaml:2: 'train.lr': expected a number in [0, 1], got 'nan'"},
      {"train:\n  lr: 0.1x",
       "config: c.yaml:2: 'train.lr': expected a number in [0, 1], got '0.1x'"},
      {"train: {lr: [0.1]}",
       "config: c.yaml:1: 'train.lr': expected a number in [0, 1], got a list"},
      {"train: {lora: {rank: 1.5}}",
       "config: c.yaml:1: 'train.lora.rank': expected a whole number in [1, 256], got '1.5'"},
      {"train: {lora: {rank: 0}}",
       "config: c.yaml:1: 'train.lora.rank': expected a whole number in [1, 256], got '0'"},
      {"train: {lora: {rank: 99999999999999999999}}",
       "config: c.yaml:1: 'train.lora.rank': expected a whole number in [1, 256], got "
       "'99999999999999999999'"},
      {"train: {seed: -1}",
       "config: c.yaml:1: 'train.seed': expected a whole number in [0, 1e+18], got '-1'"},
      {"train: {resume: yes}",
       "config: c.yaml:1: 'train.resume': expected true or false, got 'yes'"},
      {"train: {kind: sums}",
       "config: c.yaml:1: 'train.kind': expected one of product, sum, got 'sums'"},
      {"train: {model: [a]}", "config: c.yaml:1: 'train.model': expected a text, got a list"},
      {"train:\n  model:",
       "config: c.yaml:2: 'train.model': no value (an empty text is written '')"},
      {"train: {layers: [[a]]}",
       "config: c.yaml:1: 'train.layers': a list holds plain values only"},
      {"train: {lr: 0.1, lr: 0.2}", "config: c.yaml:1: 'train.lr' is given twice"},
      {"- a", "config: c.yaml:1: expected 'key: value' lines"},
      {"text", "config: c.yaml:1: expected 'key: value' lines"},
      {"train: {[a]: 1}", "config: c.yaml:1: a key must be a word"},
      {"a: b: c", "config: c.yaml:1: illegal map value"},
      {"a:\n  b: \"c", "config: c.yaml:2: illegal EOF in scalar"},
      {"x: &x\n  y: *x", "config: c.yaml:1: nested too deep"},
      {"train:\n  model: \xff", "config: c.yaml:2: invalid UTF-8"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(failure_of([&] { read(c.yaml); }), c.message) << c.yaml;
  }
}

TEST(Config, SaysWhatIsWrongWithASetting) {
  const struct {
    const char *setting, *message;
  } cases[] = {
      {"train.lr", "--set: expected KEY=VALUE, got 'train.lr'"},
      {"=1", "--set: expected KEY=VALUE, got '=1'"},
      {"train.lrr=1", "--set: unknown key 'train.lrr': did you mean 'train.lr'?"},
      {"train.lr=", "--set: 'train.lr': expected a number in [0, 1], got ''"},
      {"train.lr=2", "--set: 'train.lr': expected a number in [0, 1], got '2'"},
      {"train.layers=[a", "--set: 'train.layers': expected a list such as [a, b], got '[a'"},
      {"train.layers=[[a]]", "--set: 'train.layers': expected a list such as [a, b], got '[[a]]'"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(failure_of([&] { read("", {c.setting}); }), c.message);
  }
}

TEST(Config, RefusesFilesThatGrowWhenRead) {
  std::string bomb = "a0: &a0 {x: 1, y: 1, z: 1}\n";
  for (int i = 1; i < 12; ++i) {
    const std::string n = std::to_string(i), last = "*a" + std::to_string(i - 1);
    bomb += "a" + n + ": &a" + n + " {x: " + last + ", y: " + last + ", z: " + last + "}\n";
  }
  EXPECT_EQ(failure_of([&] { read(bomb); }), "config: c.yaml:1: too many keys");
  std::string deep;
  for (int i = 0; i < 30; ++i) deep += "{a: ";
  deep += "1" + std::string(30, '}');
  EXPECT_EQ(failure_of([&] { read(deep); }), "config: c.yaml:1: nested too deep");
}

TEST(Config, NamesTheFileThatIsMissing) {
  ConfigSource source;
  EXPECT_EQ(failure_of([&] { source.add_file("/none.yaml"); }),
            "read: /none.yaml: No such file or directory");
}

TEST(Config, YamlOfAllFieldsReadsBackTheSame) {
  All all;
  all.train.lr = 0.1 + 0.2;
  all.train.seed = 1'000'000'000'000'000'000;
  all.train.resume = true;
  Rng rng(1);
  const std::vector<std::string> texts = {
      "",     "null",  "~",    "true",         "1",    "a b",  "- a",      "a: b",
      "#x",   "\"q\"", "it's", "*a",           "&a",   "!t",   "[a]",      "{a}",
      "a,b",  " a ",   "\n",   "\\n",          "%",    "@",    "|",        ">",
      "Null", ".inf",  "-",    "\u4f60\u597d", "\x01", "\x7f", "a/b-c_d.e"};
  for (int i = 0; i < 200; ++i) {
    all.train.model = rng.pick(texts) + rng.pick(texts);
    all.train.layers.clear();
    for (uint64_t n = rng.below(4); n > 0; --n) all.train.layers.push_back(rng.pick(texts));
    const std::string yaml = config_to_yaml(list_config(all));
    const Options back = read(yaml);
    EXPECT_EQ(back.model, all.train.model) << yaml;
    EXPECT_EQ(back.layers, all.train.layers) << yaml;
    EXPECT_EQ(back.lr, all.train.lr);
    EXPECT_EQ(back.seed, all.train.seed);
    EXPECT_TRUE(back.resume);
  }
}

TEST(Config, YamlKeepsTheGroupsAndTheirOrder) {
  EXPECT_EQ(config_to_yaml(list_config(All{})),
            "train:\n"
            "  lr: 0.0001\n"
            "  seed: 1\n"
            "  lora:\n"
            "    rank: 16\n"
            "    dropout: 0.05\n"
            "  resume: false\n"
            "  model: base\n"
            "  kind: product\n"
            "  layers: [q, v]\n");
}

TEST(Config, HelpListsEveryKeyWithItsDefault) {
  EXPECT_EQ(config_help(list_config(Adapter{})),
            "  rank     16    columns of each factor\n"
            "  dropout  0.05  share of inputs left out\n");
}

size_t distance_by_definition(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return a.size() + b.size();
  if (a[0] == b[0]) return distance_by_definition(a.substr(1), b.substr(1));
  return 1 +
         std::min({distance_by_definition(a.substr(1), b), distance_by_definition(a, b.substr(1)),
                   distance_by_definition(a.substr(1), b.substr(1))});
}

TEST(NearestName, IsTheNearestByTheDefinitionOfEditDistance) {
  Rng rng(2);
  const auto random_word = [&] {
    std::string word;
    for (uint64_t n = rng.below(7); n > 0; --n) word += static_cast<char>('a' + rng.below(3));
    return word;
  };
  for (int i = 0; i < 2000; ++i) {
    const std::string word = random_word();
    const std::vector<std::string> names = {random_word() + "x", random_word() + "y",
                                            random_word() + "z"};
    std::vector<size_t> distances;
    for (const auto& name : names) distances.push_back(distance_by_definition(word, name));
    const size_t least = *std::min_element(distances.begin(), distances.end());
    const std::string near = nearest_name(word, names);
    if (least > 1 + word.size() / 5) {
      EXPECT_EQ(near, "") << word;
    } else {
      EXPECT_EQ(distance_by_definition(word, near), least) << word;
    }
  }
}

}  // namespace
}  // namespace l2a
