#include "tokenizer/tokenizer_json_writer.h"

#include <unordered_set>

#include "tokenizer/patterns.h"

namespace l2a {
namespace {

Json added_token(size_t id, const std::string& text, bool special) {
  return {{"id", id},        {"content", text},     {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

Json byte_level(bool own_pattern) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", own_pattern}};
}

Json sequence(Json first, Json second) {
  return {{"type", "Sequence"}, {"pretokenizers", {std::move(first), std::move(second)}}};
}

Json pre_tokenizer(PreTokenizer pattern) {
  const auto cut = [](std::string_view regex) -> Json {
    return sequence({{"type", "Split"},
                     {"pattern", {{"Regex", regex}}},
                     {"behavior", "Isolated"},
                     {"invert", false}},
                    byte_level(false));
  };
  switch (pattern) {
    case PreTokenizer::kGpt2:
      return byte_level(true);
    case PreTokenizer::kDigitsThenGpt2:
      return sequence({{"type", "Digits"}, {"individual_digits", true}}, byte_level(true));
    case PreTokenizer::kLlama3:
      return cut(kLlama3Pattern);
    case PreTokenizer::kQwen2:
      return cut(kQwen2Pattern);
  }
  return nullptr;
}

const Json kMarkSpaces = {
    {"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpaceMark}};

void put_bytes_parts(const BpeVocabulary& v, Json& json) {
  json["normalizer"] = v.compose ? Json{{"type", "NFC"}} : Json();
  json["pre_tokenizer"] = pre_tokenizer(v.pre_tokenizer);
  json["decoder"] = byte_level(true);
}

void put_character_parts(const BpeVocabulary& v, Json& json) {
  const auto metaspace = [](const char* scheme) -> Json {
    return {{"type", "Metaspace"},
            {"replacement", kSpaceMark},
            {"prepend_scheme", scheme},
            {"split", false}};
  };
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = nullptr;
  switch (v.space_prefix) {
    case SpacePrefix::kNone:
      json["normalizer"] = kMarkSpaces;
      break;
    case SpacePrefix::kStartUnlessSpace:
      json["pre_tokenizer"] = metaspace("first");
      break;
    case SpacePrefix::kEachUnlessSpace:
      json["pre_tokenizer"] = metaspace("always");
      break;
    case SpacePrefix::kEach:
      json["normalizer"] = {
          {"type", "Sequence"},
          {"normalizers", {{{"type", "Prepend"}, {"prepend", kSpaceMark}}, kMarkSpaces}}};
      break;
  }
  json["decoder"] = {
      {"type", "Sequence"},
      {"decoders",
       {{{"type", "Replace"}, {"pattern", {{"String", kSpaceMark}}}, {"content", " "}},
        {{"type", "ByteFallback"}},
        {{"type", "Fuse"}}}}};
}

}  // namespace

Json tokenizer_json(const BpeVocabulary& v) {
  const bool characters = v.alphabet == TokenAlphabet::kCharacters;
  const std::unordered_set<int32_t> plain(v.added.begin(), v.added.end());
  Json vocabulary = Json::object(), added = Json::array(), merges = Json::array();
  // Thousands of members: an ordered object would look through them all for each.
  auto& members = vocabulary.get_ref<Json::object_t&>();
  for (size_t id = 0; id < v.tokens.size(); ++id) {
    const std::string& token = v.tokens[id];
    if (token.empty()) continue;
    const bool is_plain = plain.contains(static_cast<int32_t>(id));
    if (v.is_special[id] || is_plain) added.push_back(added_token(id, token, v.is_special[id]));
    // SentencePiece's merges may use what is added, and the unknown token must be there.
    if (characters || !(v.is_special[id] || is_plain)) members.emplace_back(token, id);
  }
  for (const auto& [left, right] : v.merges) merges.push_back(Json::array({left, right}));

  Json json = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  json["added_tokens"] = std::move(added);
  characters ? put_character_parts(v, json) : put_bytes_parts(v, json);
  json["post_processor"] = nullptr;
  json["model"] = {
      {"type", "BPE"},
      {"dropout", nullptr},
      {"unk_token", v.unknown ? Json(v.tokens[static_cast<size_t>(*v.unknown)]) : Json()},
      {"continuing_subword_prefix", nullptr},
      {"end_of_word_suffix", nullptr},
      {"fuse_unk", characters},
      {"byte_fallback", characters},
      {"ignore_merges", v.whole_pieces_first},
      {"vocab", std::move(vocabulary)},
      {"merges", std::move(merges)}};
  return json;
}

}  // namespace l2a
