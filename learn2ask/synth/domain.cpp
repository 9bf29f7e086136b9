#include "synth/domain.h"

#include <algorithm>
#include <charconv>
#include <set>

#include <yaml-cpp/yaml.h>

#include "base/config.h"
#include "base/file.h"
#include "base/utf8.h"
#include "synth/recognise.h"
#include "synth/template.h"

namespace l2a {
namespace {

constexpr size_t kMaxDomainBytes = 4 << 20;
constexpr int kMaxRange = 10'000;  // values of one "a..b"

// Reads YAML nodes with checks; every complaint names the file and the line.
class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  [[noreturn]] void refuse(const YAML::Node& at, const std::string& why) const {
    fail_input("domain: " + file_ + ":" + std::to_string(at.Mark().line + 1) + ": " + why);
  }

  // The pairs of a mapping, in order. Refuses anything else, an empty one and a repeated key.
  std::vector<std::pair<std::string, YAML::Node>> mapping(const YAML::Node& node,
                                                          const std::string& what) const {
    if (!node.IsMap()) refuse(node, what + ": expected a mapping");
    std::vector<std::pair<std::string, YAML::Node>> pairs;
    std::set<std::string> seen;
    for (const auto& pair : node) {
      const std::string key = text(pair.first, what);
      if (!seen.insert(key).second)
        refuse(pair.first, what + ": '" + shown(key) + "' is there twice");
      pairs.emplace_back(key, pair.second);
    }
    if (pairs.empty()) refuse(node, what + ": empty");
    return pairs;
  }

  // The same, for a mapping whose keys are known beforehand.
  void check_keys(const YAML::Node& node, const std::string& what,
                  const std::vector<std::string>& known) const {
    for (const auto& [key, value] : mapping(node, what)) {
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      const std::string near = nearest_name(key, known);
      refuse(value, what + ": unknown key '" + shown(key) + "'" +
                        (near.empty() ? "" : ": did you mean '" + near + "'?"));
    }
  }

  YAML::Node member(const YAML::Node& node, const std::string& what, const char* key) const {
    const YAML::Node found = node[key];
    if (!found) refuse(node, what + ": '" + key + "' is missing");
    return found;
  }

  std::string text(const YAML::Node& node, const std::string& what) const {
    if (!node.IsScalar() || trim(node.Scalar()).empty()) refuse(node, what + ": expected a text");
    return node.Scalar();
  }

  std::vector<std::string> texts(const YAML::Node& node, const std::string& what) const {
    if (!node.IsSequence() || node.size() == 0) refuse(node, what + ": expected a list of texts");
    std::vector<std::string> list;
    for (const auto& item : node) list.push_back(text(item, what));
    return list;
  }

  // Texts that are templates, in which {placeholder} may stand ("": none).
  std::vector<std::string> templates(const YAML::Node& node, const std::string& what,
                                     std::string_view placeholder) const {
    auto list = texts(node, what);
    for (size_t i = 0; i < list.size(); ++i) {
      const auto ok = check_template(list[i], placeholder);
      if (!ok) refuse(node[i], what + ": '" + shown(list[i]) + "': " + ok.error().message);
    }
    return list;
  }

  std::vector<std::string> cues(const YAML::Node& node, const std::string& what) const {
    auto list = texts(node, what);
    for (size_t i = 0; i < list.size(); ++i) {
      const auto cue = parse_cue(list[i]);
      if (!cue) refuse(node[i], what + ": " + cue.error().message);
    }
    return list;
  }

  bool boolean(const YAML::Node& node, const std::string& what) const {
    bool value = false;
    if (!YAML::convert<bool>::decode(node, value)) refuse(node, what + ": expected true or false");
    return value;
  }

  double positive(const YAML::Node& node, const std::string& what) const {
    double value = 0;
    if (!YAML::convert<double>::decode(node, value) || !(value > 0 && value <= 1e6)) {
      refuse(node, what + ": expected a number in (0, 1000000]");
    }
    return value;
  }

  // Values of an answer: texts, and ranges of whole numbers "18..49".
  std::vector<std::string> values(const YAML::Node& node, const std::string& what) const {
    std::vector<std::string> list;
    const auto given = texts(node, what);
    for (size_t i = 0; i < given.size(); ++i) {
      const size_t dots = given[i].find("..");
      int first = 0, last = 0;
      if (dots == std::string::npos || !whole(given[i].substr(0, dots), first) ||
          !whole(given[i].substr(dots + 2), last)) {
        list.push_back(given[i]);
        continue;
      }
      if (first > last || last - first >= kMaxRange) {
        refuse(node[i], what + ": range '" + given[i] + "' is empty or has more than " +
                            std::to_string(kMaxRange) + " numbers");
      }
      for (int n = first; n <= last; ++n) list.push_back(std::to_string(n));
    }
    return list;
  }

 private:
  static bool whole(const std::string& text, int& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
  }

  std::string file_;
};

AnswerClass read_class(const Reader& in, const std::string& name, const YAML::Node& node,
                       const std::string& what) {
  in.check_keys(node, what, {"of", "say", "volunteer", "weight", "urgent"});
  AnswerClass answer;
  answer.name = name;
  if (node["of"]) answer.of = in.values(node["of"], what + ": of");
  const std::string_view placeholder = answer.of.empty() ? "" : "value";
  answer.say = in.templates(in.member(node, what, "say"), what + ": say", placeholder);
  if (node["volunteer"]) {
    answer.volunteer = in.templates(node["volunteer"], what + ": volunteer", placeholder);
  }
  if (node["weight"]) answer.weight = in.positive(node["weight"], what + ": weight");
  if (node["urgent"]) answer.urgent = in.boolean(node["urgent"], what + ": urgent");

  const auto names_value = [](const std::string& say) { return has_placeholder(say, "value"); };
  if (!answer.of.empty() && std::none_of(answer.say.begin(), answer.say.end(), names_value)) {
    in.refuse(node["say"], what + ": has values in 'of', but no wording says {value}");
  }
  return answer;
}

size_t index_of_slot(const Reader& in, const Domain& domain, const std::string& name,
                     const YAML::Node& at, const std::string& what) {
  if (const auto slot = domain.find_slot(name)) return *slot;
  std::vector<std::string> names;
  for (const auto& slot : domain.slots) names.push_back(slot.name);
  const std::string near = nearest_name(name, names);
  in.refuse(at, what + ": unknown slot '" + shown(name) + "'" +
                    (near.empty() ? "" : ": did you mean '" + near + "'?"));
}

size_t index_of_class(const Reader& in, const Slot& slot, const std::string& name,
                      const YAML::Node& at, const std::string& what) {
  for (size_t c = 0; c < slot.classes.size(); ++c) {
    if (slot.classes[c].name == name) return c;
  }
  in.refuse(at, what + ": slot '" + slot.name + "' has no answer '" + shown(name) + "'");
}

// The truth keeps values alone, so a value must say its answer.
void check_values_differ(const Reader& in, const YAML::Node& at, const std::string& what,
                         const Slot& slot) {
  std::set<std::string> seen = {"unknown"};
  for (const auto& answer : slot.classes) {
    for (const auto& value : answer.of.empty() ? std::vector{answer.name} : answer.of) {
      if (!seen.insert(value).second) {
        in.refuse(at, what + ": value '" + shown(value) + "' is there twice");
      }
    }
  }
}

void read_slots(const Reader& in, const YAML::Node& node, Domain& domain) {
  const auto pairs = in.mapping(node, "slots");
  for (const auto& [name, body] : pairs) {
    const std::string what = "slot '" + shown(name) + "'";
    in.check_keys(body, what, {"ask", "cues", "answers", "when", "sure"});
    Slot slot;
    slot.name = name;
    slot.ask = in.templates(in.member(body, what, "ask"), what + ": ask", "");
    slot.cues = in.cues(in.member(body, what, "cues"), what + ": cues");
    if (body["sure"]) slot.may_be_unsure = !in.boolean(body["sure"], what + ": sure");
    for (const auto& [answer, answer_body] :
         in.mapping(in.member(body, what, "answers"), what + ": answers")) {
      slot.classes.push_back(
          read_class(in, answer, answer_body, what + ": answer '" + shown(answer) + "'"));
    }
    check_values_differ(in, body, what, slot);
    domain.slots.push_back(std::move(slot));
  }
  // Conditions last: they may name slots that stand further down.
  for (size_t s = 0; s < pairs.size(); ++s) {
    const YAML::Node when = pairs[s].second["when"];
    if (!when) continue;
    const std::string what = "slot '" + domain.slots[s].name + "': when";
    for (const auto& [name, classes] : in.mapping(when, what)) {
      Condition condition{index_of_slot(in, domain, name, classes, what), {}};
      for (const auto& answer : in.texts(classes, what)) {
        condition.classes.push_back(
            index_of_class(in, domain.slots[condition.slot], answer, classes, what));
      }
      domain.slots[s].when.push_back(std::move(condition));
    }
  }
}

// What a condition needs must be known by the complaint or asked before.
void check_order(const Reader& in, const YAML::Node& at, const std::string& what,
                 const Domain& domain, const Complaint& complaint) {
  std::set<size_t> before;
  for (const auto& [slot, answer] : complaint.known) before.insert(slot);
  for (const size_t slot : complaint.slots) {
    for (const auto& condition : domain.slots[slot].when) {
      if (before.count(condition.slot)) continue;
      in.refuse(at, what + ": '" + domain.slots[slot].name + "' depends on '" +
                        domain.slots[condition.slot].name + "', which must stand before it");
    }
    if (!before.insert(slot).second) {
      in.refuse(at, what + ": '" + domain.slots[slot].name + "' is there twice");
    }
  }
}

void read_complaints(const Reader& in, const YAML::Node& node, Domain& domain) {
  for (const auto& [name, body] : in.mapping(node, "complaints")) {
    const std::string what = "complaint '" + shown(name) + "'";
    in.check_keys(body, what, {"say", "slots", "known", "advice"});
    Complaint complaint;
    complaint.name = name;
    complaint.say = in.templates(in.member(body, what, "say"), what + ": say", "");
    complaint.advice = in.templates(in.member(body, what, "advice"), what + ": advice", "");
    if (body["known"]) {
      for (const auto& [slot_name, answer] : in.mapping(body["known"], what + ": known")) {
        const size_t slot = index_of_slot(in, domain, slot_name, answer, what + ": known");
        const std::string answer_name = in.text(answer, what + ": known");
        complaint.known.emplace_back(
            slot, index_of_class(in, domain.slots[slot], answer_name, answer, what + ": known"));
      }
    }
    const YAML::Node slots = in.member(body, what, "slots");
    for (const auto& slot_name : in.texts(slots, what + ": slots")) {
      complaint.slots.push_back(index_of_slot(in, domain, slot_name, slots, what + ": slots"));
    }
    check_order(in, slots, what + ": slots", domain, complaint);
    domain.complaints.push_back(std::move(complaint));
  }
}

}  // namespace

std::optional<size_t> Domain::find_slot(std::string_view slot_name) const {
  for (size_t s = 0; s < slots.size(); ++s) {
    if (slots[s].name == slot_name) return s;
  }
  return std::nullopt;
}

Domain parse_domain(const std::string& yaml, const std::string& file_name) {
  const Reader in(file_name);
  if (const auto bad = find_bad_utf8(yaml)) {
    const auto line =
        1 + std::count(yaml.begin(), yaml.begin() + static_cast<ptrdiff_t>(*bad), '\n');
    fail_input("domain: " + file_name + ":" + std::to_string(line) + ": not valid UTF-8");
  }
  YAML::Node root;
  try {
    root = YAML::Load(yaml);
  } catch (const YAML::Exception& e) {
    fail_input("domain: " + file_name + ":" + std::to_string(e.mark.line + 1) +
               ": not YAML: " + e.msg);
  }
  in.check_keys(root, "file",
                {"domain", "slots", "complaints", "general", "unsure", "greetings", "asides",
                 "closings", "referrals"});
  Domain domain;
  domain.sha256 = sha256_hex(yaml);
  domain.name = in.text(in.member(root, "file", "domain"), "domain");
  if (domain.name.find_first_of("/ \t\n") != std::string::npos) {
    in.refuse(root["domain"], "domain: a name has no white space and no '/'");
  }
  const auto list = [&](const char* key) {
    return in.templates(in.member(root, "file", key), key, "");
  };
  domain.unsure = list("unsure");
  domain.greetings = list("greetings");
  domain.asides = list("asides");
  domain.referrals = list("referrals");
  domain.closings = in.templates(in.member(root, "file", "closings"), "closings", "advice");
  const YAML::Node general = in.member(root, "file", "general");
  in.check_keys(general, "general", {"ask", "cues"});
  domain.general_ask = in.templates(in.member(general, "general", "ask"), "general: ask", "");
  domain.general_cues = in.cues(in.member(general, "general", "cues"), "general: cues");
  read_slots(in, in.member(root, "file", "slots"), domain);
  read_complaints(in, in.member(root, "file", "complaints"), domain);
  return domain;
}

Domain read_domain(const std::filesystem::path& path) {
  return parse_domain(read_file(path, kMaxDomainBytes), path.string());
}

}  // namespace l2a
