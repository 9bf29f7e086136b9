#include "tokenizer/tokenizer_json.h"

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/merge_line.h"
#include "tokenizer/patterns.h"

namespace l2a {
namespace {

class Reader {
 public:
  Reader(const Json& json, const std::string& where) : json_(json), where_(where) {
    if (!json_.is_object()) fail_input(where_ + "expected an object");
  }

  BpeVocabulary read();

 private:
  [[noreturn]] void refuse(const std::string& part, const std::string& why) const {
    fail_input(where_ + part + ": " + why);
  }
  [[noreturn]] void unsupported(const std::string& part, const Json& value,
                                const std::string& known) const {
    fail(ErrorCode::kUnsupported,
         where_ + part + ": " + shown(dump_json(value)) + " where " + known + " is known");
  }
  // The member of an object; null when absent.
  static const Json& member(const Json& object, const char* key) {
    static const Json kNull;
    const auto found = object.is_object() ? object.find(key) : object.end();
    return object.is_object() && found != object.end() ? *found : kNull;
  }
  static bool is_type(const Json& part, const char* type) { return member(part, "type") == type; }
  static bool is_true(const Json& part, const char* key, bool absent) {
    const Json& value = member(part, key);
    return value.is_boolean() ? value.get<bool>() : absent;
  }

  void read_model();
  void read_unknown(const Json& model);
  void read_merges(const Json& merges);
  void put_token(const Json& id, const std::string& name, const std::string& part);
  void read_added_token(const Json& token, const std::string& part);
  void read_normalizer();
  std::optional<PreTokenizer> pre_tokenizer() const;
  std::optional<SpacePrefix> space_prefix() const;

  const Json& json_;
  const std::string& where_;
  BpeVocabulary result_;
};

BpeVocabulary Reader::read() {
  read_model();
  const Json& added = member(json_, "added_tokens");
  if (!added.is_null() && !added.is_array()) refuse("'added_tokens'", "expected an array");
  for (size_t i = 0; i < added.size(); ++i) {
    read_added_token(added[i], "'added_tokens' " + std::to_string(i));
  }
  // Ids that nothing has.
  for (size_t id = 0; id < result_.tokens.size(); ++id) {
    if (result_.tokens[id].empty()) result_.is_special[id] = true;
  }
  if (result_.alphabet == TokenAlphabet::kCharacters) {
    const auto prefix = space_prefix();
    if (!prefix) {
      unsupported("'normalizer' and 'pre_tokenizer'",
                  {member(json_, "normalizer"), member(json_, "pre_tokenizer")},
                  "that of Llama 2, Mistral or Gemma");
    }
    result_.space_prefix = *prefix;
    return std::move(result_);
  }
  read_normalizer();
  const auto pattern = pre_tokenizer();
  if (!pattern) {
    unsupported("'pre_tokenizer'", member(json_, "pre_tokenizer"),
                "that of GPT-2, SmolLM2, Llama 3 or Qwen2");
  }
  result_.pre_tokenizer = *pattern;
  return std::move(result_);
}

void Reader::read_model() {
  const Json& model = member(json_, "model");
  if (!model.is_object()) refuse("'model'", "expected an object");
  if (!is_type(model, "BPE")) unsupported("'model' 'type'", member(model, "type"), "BPE");
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json& value = member(model, affix);
    if (!value.is_null() && value != "") {
      unsupported(std::string("'model' '") + affix + "'", value, "none");
    }
  }
  result_.whole_pieces_first = is_true(model, "ignore_merges", false);
  const Json& vocabulary = member(model, "vocab");
  if (!vocabulary.is_object()) refuse("'model' 'vocab'", "expected an object");
  for (const auto& [name, id] : vocabulary.items()) {
    put_token(id, name, "'model' 'vocab' '" + shown(name) + "'");
  }
  read_merges(member(model, "merges"));
  if (is_true(model, "byte_fallback", false)) read_unknown(model);
}

// SentencePiece's BPE: tokens are text, and bytes stand in for characters that are none.
void Reader::read_unknown(const Json& model) {
  result_.alphabet = TokenAlphabet::kCharacters;
  const Json& unknown = member(model, "unk_token");
  if (unknown.is_null()) return;
  if (!is_true(model, "fuse_unk", false)) unsupported("'model' 'fuse_unk'", false, "true");
  const Json& id =
      member(member(model, "vocab"), unknown.is_string() ? unknown.get<std::string>().c_str() : "");
  if (!id.is_number_integer()) refuse("'model' 'unk_token'", "no token of the vocabulary");
  result_.unknown = id.get<int32_t>();
}

// Each is "left right" or ["left", "right"].
void Reader::read_merges(const Json& merges) {
  if (!merges.is_array()) refuse("'model' 'merges'", "expected an array");
  for (size_t i = 0; i < merges.size(); ++i) {
    const Json& merge = merges[i];
    if (merge.is_string()) {
      const auto pair = split_merge(merge.get<std::string>());
      if (!pair) {
        refuse("'model' 'merges' " + std::to_string(i), "expected two tokens and one space");
      }
      result_.merges.push_back(*pair);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      result_.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
    } else {
      refuse("'model' 'merges' " + std::to_string(i), "expected two tokens");
    }
  }
}

// Ids may come in any order and leave holes, but not so that a few tokens need a huge table.
void Reader::put_token(const Json& id, const std::string& name, const std::string& part) {
  const size_t most = 1024 + 2 * (member(member(json_, "model"), "vocab").size() +
                                  member(json_, "added_tokens").size());
  if (!id.is_number_integer() || id < 0 || id >= most) {
    refuse(part, "expected an id from 0 to " + std::to_string(most - 1));
  }
  if (name.empty()) refuse(part, "an empty token");
  const auto place = id.get<size_t>();
  if (place >= result_.tokens.size()) {
    result_.tokens.resize(place + 1);
    result_.is_special.resize(place + 1, false);
  }
  if (!result_.tokens[place].empty() && result_.tokens[place] != name) {
    refuse(part, "id " + std::to_string(place) + " is also that of '" +
                     shown(result_.tokens[place]) + "'");
  }
  result_.tokens[place] = name;
}

void Reader::read_added_token(const Json& token, const std::string& part) {
  if (!token.is_object()) refuse(part, "expected an object");
  const auto content = get_string(token, "content");
  if (!content) refuse(part, content.error().message);
  put_token(member(token, "id"), *content, part);
  const auto id = member(token, "id").get<int32_t>();
  if (is_true(token, "special", false)) {
    result_.is_special[static_cast<size_t>(id)] = true;
    return;
  }
  for (const char* flag : {"single_word", "lstrip", "rstrip"}) {
    if (is_true(token, flag, false)) unsupported(part + " '" + flag + "'", true, "false");
  }
  result_.added.push_back(id);
}

void Reader::read_normalizer() {
  const Json& normalizer = member(json_, "normalizer");
  if (normalizer.is_null()) return;
  const Json& steps = member(normalizer, "normalizers");
  const bool is_empty = is_type(normalizer, "Sequence") && steps.is_array() && steps.empty();
  result_.compose = is_type(normalizer, "NFC");
  if (!result_.compose && !is_empty) unsupported("'normalizer'", normalizer, "none or NFC");
}

// The known forms: ByteLevel with its own pattern, alone or after single digits, and a pattern that
// is cut out before it.
std::optional<PreTokenizer> Reader::pre_tokenizer() const {
  const Json& whole = member(json_, "pre_tokenizer");
  const Json& steps = member(whole, "pretokenizers");
  const bool is_pair = is_type(whole, "Sequence") && steps.is_array() && steps.size() == 2;
  const Json& last = is_pair ? steps[1] : whole;
  if (!is_type(last, "ByteLevel") || is_true(last, "add_prefix_space", true)) return std::nullopt;
  const bool own_pattern = is_true(last, "use_regex", true);
  if (!is_pair) return own_pattern ? std::optional(PreTokenizer::kGpt2) : std::nullopt;

  const Json& first = steps[0];
  if (is_type(first, "Digits") && is_true(first, "individual_digits", false) && own_pattern) {
    return PreTokenizer::kDigitsThenGpt2;
  }
  if (!is_type(first, "Split") || member(first, "behavior") != "Isolated" ||
      is_true(first, "invert", false) || own_pattern) {
    return std::nullopt;
  }
  const Json& regex = member(member(first, "pattern"), "Regex");
  const std::string pattern = regex.is_string() ? regex.get<std::string>() : "";
  if (pattern == kLlama3Pattern) return PreTokenizer::kLlama3;
  if (pattern == kQwen2Pattern) return PreTokenizer::kQwen2;
  return std::nullopt;
}

// SentencePiece's: spaces become U+2581 by a normaliser or by Metaspace, and either may put one
// before a text. Cutting at spaces after that finds none.
std::optional<SpacePrefix> Reader::space_prefix() const {
  const Json& normalizer = member(json_, "normalizer");
  const Json& pre_tokenizer = member(json_, "pre_tokenizer");
  const auto marks_spaces = [](const Json& step) {
    return is_type(step, "Replace") && member(member(step, "pattern"), "String") == " " &&
           member(step, "content") == kSpaceMark;
  };
  const Json& steps = member(normalizer, "normalizers");
  const bool is_pair = is_type(normalizer, "Sequence") && steps.is_array() && steps.size() == 2 &&
                       is_type(steps[0], "Prepend") && member(steps[0], "prepend") == kSpaceMark &&
                       marks_spaces(steps[1]);
  const bool cuts_at_spaces =
      is_type(pre_tokenizer, "Split") && member(member(pre_tokenizer, "pattern"), "String") == " ";
  if (is_pair && pre_tokenizer.is_null()) return SpacePrefix::kEach;
  if (marks_spaces(normalizer) && (pre_tokenizer.is_null() || cuts_at_spaces)) {
    return SpacePrefix::kNone;
  }
  if (!normalizer.is_null() || !is_type(pre_tokenizer, "Metaspace") ||
      member(pre_tokenizer, "replacement") != kSpaceMark || is_true(pre_tokenizer, "split", true)) {
    return std::nullopt;
  }
  const Json& scheme = member(pre_tokenizer, "prepend_scheme");
  if (scheme == "always") return SpacePrefix::kEachUnlessSpace;
  if (scheme == "first") return SpacePrefix::kStartUnlessSpace;
  if (scheme == "never") return SpacePrefix::kNone;
  return std::nullopt;
}

}  // namespace

BpeVocabulary bpe_from_tokenizer_json(const Json& json, const std::string& where) {
  return Reader(json, where).read();
}

}  // namespace l2a
