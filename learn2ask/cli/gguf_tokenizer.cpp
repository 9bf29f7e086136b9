#include "cli/gguf_tokenizer.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "base/utf8.h"
#include "tokenizer/merge_line.h"
#include "tokenizer/scored_merges.h"

namespace l2a {
namespace {

// Token types (format specification: ggml docs/gguf.md).
enum TokenType : int64_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

// A name of a pre-tokenizer, and what else it stands for.
struct NamedPreTokenizer {
  const char* name;
  PreTokenizer pattern;
  bool compose, whole_pieces_first;
};
constexpr NamedPreTokenizer kPreTokenizers[] = {
    {"gpt-2", PreTokenizer::kGpt2, false, false},
    // It would also cut at every digit; transformers does not (docs/tokenizer.md), and we follow
    // it.
    {"smollm", PreTokenizer::kGpt2, false, false},
    {"llama-bpe", PreTokenizer::kLlama3, false, true},
    {"qwen2", PreTokenizer::kQwen2, true, false},
};

void set_pre_tokenizer(const std::string& name, BpeVocabulary& vocabulary) {
  std::string known;
  for (const auto& row : kPreTokenizers) {
    known += (known.empty() ? "" : ", ") + std::string(row.name);
    if (name != row.name) continue;
    vocabulary.pre_tokenizer = row.pattern;
    vocabulary.compose = row.compose;
    vocabulary.whole_pieces_first = row.whole_pieces_first;
    return;
  }
  fail(ErrorCode::kUnsupported,
       "tokenizer: unknown pre-tokenizer '" + shown(name) + "' (known: " + known + ")");
}

void read_merges(const GgufFile& file, BpeVocabulary& vocabulary) {
  for (const std::string& line : file.get_strings("tokenizer.ggml.merges")) {
    const auto pair = split_merge(line);
    if (!pair) {
      fail_input("tokenizer: merge " + std::to_string(vocabulary.merges.size()) + " '" +
                 shown(line) + "': expected two tokens and one space");
    }
    vocabulary.merges.push_back(*pair);
  }
}

void read_types(const GgufFile& file, BpeVocabulary& vocabulary) {
  const auto types = file.get_ints("tokenizer.ggml.token_type");
  if (types.size() != vocabulary.tokens.size()) {
    fail_input("tokenizer: " + std::to_string(types.size()) + " token types for " +
               std::to_string(vocabulary.tokens.size()) + " tokens");
  }
  for (size_t id = 0; id < types.size(); ++id) {
    const int64_t type = types[id];
    vocabulary.is_special.push_back(type == kUnknown || type == kControl || type == kUnused);
    if (type == kUserDefined) vocabulary.added.push_back(static_cast<int32_t>(id));
    if (type == kUnknown) vocabulary.unknown = static_cast<int32_t>(id);
    if (type < kNormal || type > kByte) {
      fail_input("tokenizer: token " + std::to_string(id) + ": unknown type " +
                 std::to_string(type));
    }
  }
}

// Gemma's files write a token of spaces with spaces, and their scores are not in the order of its
// merges: the ids are.
void respell_gemma(BpeVocabulary& vocabulary, std::vector<double>& scores) {
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    std::string& token = vocabulary.tokens[id];
    if (!token.empty() && token.find_first_not_of(' ') == token.npos) {
      std::string marks;
      for (size_t i = 0; i < token.size(); ++i) marks += "\u2581";
      token = marks;
    }
    scores[id] = -static_cast<double>(id);
  }
}

void read_sentence_piece(const GgufFile& file, BpeVocabulary& vocabulary) {
  vocabulary.alphabet = TokenAlphabet::kCharacters;
  std::vector<double> scores = file.get_floats("tokenizer.ggml.scores");
  if (scores.size() != vocabulary.tokens.size()) {
    fail_input("tokenizer: " + std::to_string(scores.size()) + " scores for " +
               std::to_string(vocabulary.tokens.size()) + " tokens");
  }
  const bool is_gemma = file.get_string("general.architecture").starts_with("gemma");
  if (is_gemma) respell_gemma(vocabulary, scores);
  const bool prefix = file.find_bool("tokenizer.ggml.add_space_prefix").value_or(!is_gemma);
  vocabulary.space_prefix = prefix ? SpacePrefix::kStartUnlessSpace : SpacePrefix::kNone;

  if (file.metadata().contains("tokenizer.ggml.merges")) return read_merges(file, vocabulary);
  const auto types = file.get_ints("tokenizer.ggml.token_type");
  std::vector<std::string> merging = vocabulary.tokens;
  for (size_t id = 0; id < merging.size() && id < types.size(); ++id) {
    if (types[id] != kNormal && types[id] != kUserDefined) merging[id].clear();
  }
  vocabulary.merges = merges_by_score(merging, scores);
}

// A byte's own token: "<0x0A>".
bool is_byte_token(const std::string& token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>');
}

std::vector<int64_t> types_of(const BpeVocabulary& v) {
  std::vector<int64_t> types(v.tokens.size(), kNormal);
  for (size_t id = 0; id < types.size(); ++id) {
    if (v.is_special[id]) types[id] = v.tokens[id].empty() ? kUnused : kControl;
    if (v.alphabet == TokenAlphabet::kCharacters && is_byte_token(v.tokens[id])) types[id] = kByte;
  }
  for (const int32_t id : v.added) types[static_cast<size_t>(id)] = kUserDefined;
  if (v.unknown) types[static_cast<size_t>(*v.unknown)] = kUnknown;
  return types;
}

// The better the sooner a merge makes the token; those that none makes come last.
std::vector<double> scores_of(const BpeVocabulary& v) {
  std::unordered_map<std::string, size_t> first_merge;
  for (size_t rank = 0; rank < v.merges.size(); ++rank) {
    first_merge.emplace(v.merges[rank].first + v.merges[rank].second, rank);
  }
  std::vector<double> scores;
  for (const std::string& token : v.tokens) {
    const auto found = first_merge.find(token);
    scores.push_back(
        -static_cast<double>(found == first_merge.end() ? v.merges.size() : found->second));
  }
  return scores;
}

std::string pre_tokenizer_name(const BpeVocabulary& v) {
  for (const auto& row : kPreTokenizers) {
    // By "smollm" llama.cpp understands the cut at digits, transformers none.
    const bool is_pattern = row.name == std::string("smollm")
                                ? v.pre_tokenizer == PreTokenizer::kDigitsThenGpt2
                                : v.pre_tokenizer == row.pattern;
    if (is_pattern && v.compose == row.compose && v.whole_pieces_first == row.whole_pieces_first) {
      return row.name;
    }
  }
  fail(ErrorCode::kUnsupported, "tokenizer: GGUF has no name for its pre-tokenizer");
}

}  // namespace

std::map<std::string, GgufValue> gguf_from_bpe(const BpeVocabulary& v, const BosEos& tokens) {
  std::map<std::string, GgufValue> metadata;
  std::vector<std::string> names = v.tokens, merges;
  for (size_t id = 0; id < names.size(); ++id) {
    if (names[id].empty()) names[id] = "[PAD" + std::to_string(id) + "]";
  }
  for (const auto& [left, right] : v.merges) merges.push_back(left + " " + right);
  const auto put_id = [&](const std::string& key, const std::string& token) {
    const auto found = std::find(v.tokens.begin(), v.tokens.end(), token);
    if (token.empty() || found == v.tokens.end()) return;
    metadata["tokenizer.ggml." + key] = static_cast<uint64_t>(found - v.tokens.begin());
  };
  put_id("bos_token_id", tokens.bos);
  put_id("eos_token_id", tokens.eos);
  metadata["tokenizer.ggml.add_bos_token"] = false;  // the chat template writes it
  metadata["tokenizer.ggml.tokens"] = std::move(names);
  metadata["tokenizer.ggml.token_type"] = types_of(v);
  metadata["tokenizer.ggml.merges"] = std::move(merges);
  if (v.alphabet == TokenAlphabet::kCharacters) {
    metadata["tokenizer.ggml.model"] = std::string("llama");
    metadata["tokenizer.ggml.pre"] = std::string("default");
    metadata["tokenizer.ggml.scores"] = scores_of(v);
    metadata["tokenizer.ggml.add_space_prefix"] = v.space_prefix != SpacePrefix::kNone;
    if (v.unknown) {
      metadata["tokenizer.ggml.unknown_token_id"] = static_cast<uint64_t>(*v.unknown);
    }
  } else {
    metadata["tokenizer.ggml.model"] = std::string("gpt2");
    metadata["tokenizer.ggml.pre"] = pre_tokenizer_name(v);
  }
  return metadata;
}

BpeVocabulary bpe_from_gguf(const GgufFile& file) {
  BpeVocabulary vocabulary;
  vocabulary.tokens = file.get_strings("tokenizer.ggml.tokens");
  read_types(file, vocabulary);
  const std::string& kind = file.get_string("tokenizer.ggml.model");
  if (kind == "gpt2") {
    read_merges(file, vocabulary);
    set_pre_tokenizer(file.get_string("tokenizer.ggml.pre"), vocabulary);
  } else if (kind == "llama") {
    read_sentence_piece(file, vocabulary);
  } else {
    fail(ErrorCode::kUnsupported, "tokenizer: kind '" + shown(kind) +
                                      "' where gpt2 (byte-level BPE) and llama (SentencePiece's "
                                      "BPE) are known");
  }
  return vocabulary;
}

BosEos bos_eos_from_gguf(const GgufFile& file) {
  const auto& tokens = file.get_strings("tokenizer.ggml.tokens");
  const auto token = [&](const std::string& key) -> std::string {
    const auto id = file.find_int(key);
    if (!id) return "";
    if (*id < 0 || static_cast<size_t>(*id) >= tokens.size()) {
      fail_input("tokenizer: '" + key + "': no token has the id " + std::to_string(*id));
    }
    return tokens[static_cast<size_t>(*id)];
  };
  return {token("tokenizer.ggml.bos_token_id"), token("tokenizer.ggml.eos_token_id")};
}

}  // namespace l2a
