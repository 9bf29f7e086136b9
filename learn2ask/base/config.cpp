#include "base/config.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"

namespace l2a {
namespace {

constexpr size_t kMaxConfigBytes = 1 << 20;
constexpr size_t kMaxConfigEntries = 10'000;  // YAML aliases can multiply a small file
constexpr int kMaxConfigDepth = 16;           // and can even contain themselves

void put(std::vector<ConfigSource::Entry>& entries, ConfigSource::Entry entry) {
  std::erase_if(entries, [&](const auto& old) { return old.key == entry.key; });
  entries.push_back(std::move(entry));
}

// Flattens one YAML document into entries, with "config: FILE:LINE" as their source.
class YamlReader {
 public:
  explicit YamlReader(const std::string& name) : name_(name) {}

  std::vector<ConfigSource::Entry> read(std::string_view text) {
    try {
      const YAML::Node root = YAML::Load(std::string(text));
      if (root.IsNull()) return {};
      if (!root.IsMap()) fail_input(where(root) + ": expected 'key: value' lines");
      read_map(root, "", 0);
    } catch (const YAML::Exception& e) {
      fail_input("config: " + name_ + ":" + std::to_string(e.mark.line + 1) + ": " + e.msg);
    }
    return std::move(entries_);
  }

 private:
  std::string where(const YAML::Node& node) const {
    return "config: " + name_ + ":" + std::to_string(node.Mark().line + 1);
  }

  void read_map(const YAML::Node& map, const std::string& prefix, int depth) {
    if (depth == kMaxConfigDepth) fail_input(where(map) + ": nested too deep");
    for (const auto& item : map) {
      if (!item.first.IsScalar()) fail_input(where(item.first) + ": a key must be a word");
      const std::string key = prefix + item.first.Scalar();
      const std::string key_where = where(item.first);
      if (item.second.IsMap()) {
        read_map(item.second, key + ".", depth + 1);
      } else {
        add(read_value(key, key_where, item.second));
      }
    }
  }

  ConfigSource::Entry read_value(const std::string& key, const std::string& key_where,
                                 const YAML::Node& value) {
    ConfigSource::Entry entry{key, key_where, {}, value.IsSequence()};
    if (value.IsScalar()) {
      entry.values.push_back(value.Scalar());
    } else if (value.IsSequence()) {
      for (const auto& item : value) {
        if (!item.IsScalar()) {
          fail_input(where(item) + ": '" + shown(key) + "': a list holds plain values only");
        }
        entry.values.push_back(item.Scalar());
      }
    } else {
      fail_input(key_where + ": '" + shown(key) + "': no value (an empty text is written '')");
    }
    return entry;
  }

  void add(ConfigSource::Entry entry) {
    for (const auto& old : entries_) {
      if (old.key == entry.key) {
        fail_input(entry.where + ": '" + shown(entry.key) + "' is given twice");
      }
    }
    if (entries_.size() == kMaxConfigEntries) fail_input(entry.where + ": too many keys");
    entries_.push_back(std::move(entry));
  }

  const std::string& name_;
  std::vector<ConfigSource::Entry> entries_;
};

// The one value of an entry of a scalar field, shown in messages with its key and source.
std::string scalar_of(const ConfigSource::Entry& entry, const std::string& expected) {
  if (entry.is_list) {
    fail_input(entry.where + ": '" + entry.key + "': expected " + expected + ", got a list");
  }
  return entry.values.front();
}

[[noreturn]] void refuse_value(const ConfigSource::Entry& entry, const std::string& expected) {
  fail_input(entry.where + ": '" + entry.key + "': expected " + expected + ", got '" +
             shown(entry.values.front()) + "'");
}

template <class Number>
void read_number(const ConfigSource::Entry& entry, const char* kind, Range range, Number& field) {
  const std::string expected = fmt::format("{} in [{}, {}]", kind, range.low, range.high);
  const std::string text = scalar_of(entry, expected);
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const auto compared = static_cast<double>(value);
  const bool inside = compared >= range.low && compared <= range.high;  // false for nan
  if (error != std::errc() || stop != end || !inside) refuse_value(entry, expected);
  field = value;
}

// A text as YAML reads it back; plain where that is safe.
std::string yaml_text(const std::string& text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '/' || c == '-';
  };
  const bool safe = !text.empty() && text.front() != '-' && text.front() != '.' &&
                    std::all_of(text.begin(), text.end(), plain) && normalise_text(text) != "null";
  return safe ? text : dump_json(Json(text));
}

std::string joined(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

void ConfigSource::add_file(const std::string& path) {
  add_yaml(read_file(path, kMaxConfigBytes), path);
}

void ConfigSource::add_yaml(std::string_view text, const std::string& name) {
  if (const auto bad = find_bad_utf8(text)) {
    const auto line = std::count(text.begin(), text.begin() + static_cast<long>(*bad), '\n') + 1;
    fail_input("config: " + name + ":" + std::to_string(line) + ": invalid UTF-8");
  }
  for (Entry& entry : YamlReader(name).read(text)) put(entries, std::move(entry));
}

void ConfigSource::add_setting(const std::string& assignment) {
  const size_t equals = assignment.find('=');
  if (equals == assignment.npos || equals == 0) {
    fail_input("--set: expected KEY=VALUE, got '" + shown(assignment) + "'");
  }
  Entry entry{assignment.substr(0, equals), "--set", {assignment.substr(equals + 1)}};
  if (entry.values.front().starts_with('[')) {  // a list, as YAML writes it
    try {
      const YAML::Node list = YAML::Load(entry.values.front());
      entry.values = list.as<std::vector<std::string>>();
      entry.is_list = true;
    } catch (const YAML::Exception&) {
      fail_input("--set: '" + shown(entry.key) + "': expected a list such as [a, b], got '" +
                 shown(entry.values.front()) + "'");
    }
  }
  put(entries, std::move(entry));
}

ConfigSource::Entry* ConfigVisitor::take(const char* key) {
  if (!source_) return nullptr;
  for (auto& entry : source_->entries) {
    if (entry.key == prefix_ + key) {
      entry.used = true;
      return &entry;
    }
  }
  return nullptr;
}

void ConfigVisitor::operator()(const char* key, double& field, Range range, const char* help) {
  if (const auto* entry = take(key)) read_number(*entry, "a number", range, field);
  fields_.push_back({prefix_ + key, "number", fmt::format("{}", field), help});
}

void ConfigVisitor::operator()(const char* key, int64_t& field, Range range, const char* help) {
  if (const auto* entry = take(key)) read_number(*entry, "a whole number", range, field);
  fields_.push_back({prefix_ + key, "integer", fmt::format("{}", field), help});
}

void ConfigVisitor::operator()(const char* key, uint64_t& field, Range range, const char* help) {
  if (const auto* entry = take(key)) read_number(*entry, "a whole number", range, field);
  fields_.push_back({prefix_ + key, "integer", fmt::format("{}", field), help});
}

void ConfigVisitor::operator()(const char* key, bool& field, const char* help) {
  if (const auto* entry = take(key)) {
    const std::string text = scalar_of(*entry, "true or false");
    if (text != "true" && text != "false") refuse_value(*entry, "true or false");
    field = text == "true";
  }
  fields_.push_back({prefix_ + key, "bool", field ? "true" : "false", help});
}

void ConfigVisitor::operator()(const char* key, std::string& field, const char* help) {
  if (const auto* entry = take(key)) field = scalar_of(*entry, "a text");
  fields_.push_back({prefix_ + key, "string", yaml_text(field), help});
}

void ConfigVisitor::operator()(const char* key, std::vector<std::string>& field, const char* help) {
  if (const auto* entry = take(key)) field = entry->values;
  std::vector<std::string> items;
  for (const auto& item : field) items.push_back(yaml_text(item));
  fields_.push_back({prefix_ + key, "list of strings", fmt::format("[{}]", joined(items)), help});
}

void ConfigVisitor::choice(const char* key, std::string& field,
                           const std::vector<std::string>& choices, const char* help) {
  if (const auto* entry = take(key)) {
    const std::string expected = "one of " + joined(choices);
    field = scalar_of(*entry, expected);
    if (std::find(choices.begin(), choices.end(), field) == choices.end()) {
      refuse_value(*entry, expected);
    }
  }
  fields_.push_back({prefix_ + key, "one of " + joined(choices), yaml_text(field), help});
}

void ConfigVisitor::refuse_unknown() const {
  if (!source_) return;
  for (const auto& entry : source_->entries) {
    if (entry.used) continue;
    std::vector<std::string> known;
    for (const auto& field : fields_) known.push_back(field.key);
    const std::string near = nearest_name(entry.key, known);
    fail_input(entry.where + ": unknown key '" + shown(entry.key) + "'" +
               (near.empty() ? "" : ": did you mean '" + near + "'?"));
  }
}

std::string config_to_yaml(const std::vector<ConfigField>& fields) {
  std::string out;
  std::vector<std::string> open;  // the groups that the last line stands in
  for (const auto& field : fields) {
    std::vector<std::string> groups;
    size_t begin = 0;
    for (size_t dot; (dot = field.key.find('.', begin)) != field.key.npos; begin = dot + 1) {
      groups.push_back(field.key.substr(begin, dot - begin));
    }
    const auto same = std::mismatch(groups.begin(), groups.end(), open.begin(), open.end()).first;
    for (auto group = same; group != groups.end(); ++group) {
      out += std::string(2 * static_cast<size_t>(group - groups.begin()), ' ') + *group + ":\n";
    }
    out +=
        std::string(2 * groups.size(), ' ') + field.key.substr(begin) + ": " + field.value + "\n";
    open = std::move(groups);
  }
  return out;
}

std::string config_help(const std::vector<ConfigField>& fields) {
  size_t key_width = 0, value_width = 0;
  for (const auto& field : fields) {
    key_width = std::max(key_width, field.key.size());
    value_width = std::max(value_width, field.value.size());
  }
  value_width = std::min<size_t>(value_width, 24);
  std::string out;
  for (const auto& field : fields) {
    const bool choice = field.type.starts_with("one of ");
    out += fmt::format("  {:<{}}  {:<{}}  {}{}\n", field.key, key_width, field.value, value_width,
                       field.help, choice ? " (" + field.type + ")" : "");
  }
  return out;
}

std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates) {
  size_t best_distance = 2 + word.size() / 5;  // a third typo needs a long word
  std::string best;
  for (const auto& candidate : candidates) {
    std::vector<size_t> row(candidate.size() + 1);
    for (size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= word.size(); ++i) {
      size_t diagonal = std::exchange(row[0], i);
      for (size_t j = 1; j < row.size(); ++j) {
        const size_t replaced = diagonal + (word[i - 1] != candidate[j - 1]);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace l2a
