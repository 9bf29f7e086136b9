// Configuration: nested structs with defaults on their fields, read from YAML and from
// --set a.b=c. Each struct lists its fields once:
//
//   struct GrpoOptions {
//     double clip = 0.2;   // reason ...
//     template <class Visitor> void visit(Visitor& v) {
//       v("clip", clip, Range{0.0, 1.0}, "the policy ratio is clipped to 1 -+ clip");
//       v.group("lora", lora, "the trained adapter");
//     }
//   };
//
// and that one list gives parsing, range checks, unknown-key errors, help and the resolved dump.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace l2a {

struct Range {
  double low, high;  // both inclusive
};

// One field as the visitor saw it.
struct ConfigField {
  std::string key;   // full, e.g. "train.lora.rank"
  std::string type;  // "number", "integer", "bool", "string", "list of strings", "one of a, b"
  std::string value;
  std::string help;
};

// A flat set of "a.b.c" -> text, from YAML and --set; the source of each is kept for messages.
class ConfigSource {
 public:
  // Adds a YAML file. Later values win. Throws Failure: "config: FILE:LINE: why".
  void add_file(const std::string& path);
  void add_yaml(std::string_view text, const std::string& name);
  // Adds one "a.b=c". Throws Failure: "--set: ...".
  void add_setting(const std::string& assignment);

  struct Entry {
    std::string key, where;
    std::vector<std::string> values;  // one, or the items of a list
    bool is_list = false;
    bool used = false;
  };
  std::vector<Entry> entries;
};

// The visitor. It either fills the struct from a source or only lists its fields.
class ConfigVisitor {
 public:
  explicit ConfigVisitor(ConfigSource* source) : source_(source) {}

  void operator()(const char* key, double& field, Range range, const char* help);
  void operator()(const char* key, int64_t& field, Range range, const char* help);
  void operator()(const char* key, uint64_t& field, Range range, const char* help);
  void operator()(const char* key, bool& field, const char* help);
  void operator()(const char* key, std::string& field, const char* help);
  void operator()(const char* key, std::vector<std::string>& field, const char* help);
  // A string that must be one of `choices`.
  void choice(const char* key, std::string& field, const std::vector<std::string>& choices,
              const char* help);
  template <class Struct>
  void group(const char* key, Struct& nested) {
    const std::string outer = prefix_;
    prefix_ += std::string(key) + ".";
    nested.visit(*this);
    prefix_ = outer;
  }

  const std::vector<ConfigField>& fields() const { return fields_; }
  // Throws Failure for the first entry of the source that no field took:
  // "config: FILE:LINE: unknown key 'train.clp': did you mean 'train.clip'?"
  void refuse_unknown() const;

 private:
  ConfigSource::Entry* take(const char* key);
  ConfigSource* source_;
  std::string prefix_;
  std::vector<ConfigField> fields_;
};

// Fills `config` from `source`. Throws Failure on an unknown key, a wrong type, a value out
// of range; `config` may then be half filled.
template <class Struct>
void read_config(Struct& config, ConfigSource& source) {
  ConfigVisitor visitor(&source);
  config.visit(visitor);
  visitor.refuse_unknown();
}

template <class Struct>
std::vector<ConfigField> list_config(Struct config) {
  ConfigVisitor visitor(nullptr);
  config.visit(visitor);
  return visitor.fields();
}

// YAML of all fields, in their order: what a run directory keeps as config.yaml.
std::string config_to_yaml(const std::vector<ConfigField>& fields);
// For --help: key, default, meaning; aligned columns.
std::string config_help(const std::vector<ConfigField>& fields);

// The candidate nearest to `word` by edit distance, if near enough to be a typo.
std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace l2a
