#include "cli/model_files.h"

#include <filesystem>
#include <functional>
#include <map>

#include <gtest/gtest.h>

#include "base/file.h"

namespace l2a {
namespace {

template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string raw_text(const std::string& text) { return raw<uint64_t>(text.size()) + text; }
std::string text_value(const std::string& text) { return raw<uint32_t>(8) + raw_text(text); }
std::string texts_value(const std::vector<std::string>& texts) {
  std::string value = raw<uint32_t>(9) + raw<uint32_t>(8) + raw<uint64_t>(texts.size());
  for (const auto& text : texts) value += raw_text(text);
  return value;
}
std::string types_value(const std::vector<int32_t>& types) {
  std::string value = raw<uint32_t>(9) + raw<uint32_t>(5) + raw<uint64_t>(types.size());
  for (const int32_t type : types) value += raw(type);
  return value;
}

std::string count_value(uint32_t count) { return raw<uint32_t>(4) + raw(count); }

using Metadata = std::map<std::string, std::string>;

// A model of no layers, but for its tokenizer's sake.
Metadata small_model() {
  return {{"general.architecture", text_value("qwen2")},
          {"qwen2.block_count", count_value(1)},
          {"qwen2.embedding_length", count_value(1)},
          {"qwen2.attention.head_count", count_value(1)},
          {"qwen2.feed_forward_length", count_value(1)},
          {"qwen2.context_length", count_value(1)},
          {"qwen2.attention.layer_norm_rms_epsilon", raw<uint32_t>(6) + raw(1e-5f)},
          {"tokenizer.ggml.model", text_value("gpt2")},
          {"tokenizer.ggml.pre", text_value("smollm")},
          {"tokenizer.ggml.tokens", texts_value({"a", "b", "ab", "<|im_start|>", "<|im_end|>"})},
          {"tokenizer.ggml.token_type", types_value({1, 1, 1, 3, 3})},
          {"tokenizer.ggml.merges", texts_value({"a b"})},
          {"tokenizer.chat_template", text_value("{{ bos_token }}")}};
}

// With an embedding of `rows` rows.
Checkpoint open_with(const Metadata& metadata, uint64_t rows) {
  const std::string path = ::testing::TempDir() + "model_files_test.gguf";
  std::string bytes = "GGUF" + raw<uint32_t>(3) + raw<uint64_t>(1) + raw<uint64_t>(metadata.size());
  for (const auto& [key, value] : metadata) bytes += raw_text(key) + value;
  bytes += raw_text("token_embd.weight") + raw<uint32_t>(2) + raw<uint64_t>(1) + raw(rows) +
           raw<uint32_t>(0) + raw<uint64_t>(0);
  bytes.append((32 - bytes.size() % 32) % 32, '\0');
  bytes.append(rows * sizeof(float), '\0');
  write_file_atomic(path, bytes);
  Checkpoint files = Checkpoint::open(path);
  std::filesystem::remove(path);
  return files;
}

// The end of the message with which the tokenizer or the template is refused.
std::string refusal(const std::function<void(Metadata&)>& change, uint64_t rows = 5) {
  Metadata metadata = small_model();
  change(metadata);
  try {
    const Checkpoint files = open_with(metadata, rows);
    const BpeTokenizer tokenizer = load_tokenizer(files);
    load_chat_template(files, tokenizer);
  } catch (const Failure& e) {
    const std::string file = "model_files_test.gguf: ";
    const size_t at = e.error.message.find(file);
    return at == std::string::npos ? e.error.message : e.error.message.substr(at + file.size());
  }
  return "";
}

TEST(LoadTokenizer, ReadsItFromTheMetadata) {
  const BpeTokenizer tokenizer = load_tokenizer(open_with(small_model(), 5));
  EXPECT_EQ(tokenizer.size(), 5);
  EXPECT_EQ(*tokenizer.encode("aba"), (std::vector<int32_t>{2, 0}));
  EXPECT_EQ(tokenizer.special_id("<|im_end|>"), 4);
}

TEST(LoadTokenizer, HasAnIdForEachRowOfTheEmbedding) {
  const BpeTokenizer tokenizer = load_tokenizer(open_with(small_model(), 8));
  EXPECT_EQ(tokenizer.size(), 8);
  EXPECT_TRUE(tokenizer.is_special(7));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{2, 7, 0}), "aba");
  EXPECT_EQ(refusal([](auto&) {}, 4), "5 tokens where the embedding has 4 rows");
}

TEST(LoadTokenizer, SaysWhatIsMissingOrDoesNotFit) {
  for (const char* key : {"tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.tokens",
                          "tokenizer.ggml.token_type", "tokenizer.ggml.merges"}) {
    EXPECT_EQ(refusal([&](auto& m) { m.erase(key); }),
              "metadata '" + std::string(key) + "': missing");
  }
  EXPECT_EQ(refusal([](auto& m) { m.erase("tokenizer.chat_template"); }),
            "the model brings none along (policy.chat_template or --chat-template names one)");
  EXPECT_EQ(refusal([](auto& m) { m["tokenizer.ggml.model"] = text_value("t5"); }),
            "tokenizer: kind 't5' where gpt2 (byte-level BPE) and llama (SentencePiece's BPE) are "
            "known");
  EXPECT_EQ(refusal([](auto& m) { m["tokenizer.ggml.pre"] = text_value("tekken"); }),
            "tokenizer: unknown pre-tokenizer 'tekken' (known: gpt-2, smollm, llama-bpe, qwen2)");
  EXPECT_EQ(refusal([](auto& m) { m["tokenizer.ggml.token_type"] = types_value({1, 3}); }),
            "tokenizer: 2 token types for 5 tokens");
  EXPECT_EQ(refusal([](auto& m) { m["tokenizer.ggml.merges"] = texts_value({}); }),
            "tokenizer: no merges: a BPE tokenizer cannot do without");
  for (const char* merge : {"ab", "a b c"}) {
    EXPECT_EQ(refusal([&](auto& m) { m["tokenizer.ggml.merges"] = texts_value({merge}); }),
              "tokenizer: merge 0 '" + std::string(merge) + "': expected two tokens and one space");
  }
  EXPECT_EQ(refusal([](auto& m) { m["tokenizer.ggml.merges"] = texts_value({"b a"}); }),
            "tokenizer: merge 0 'b a': no token 'ba'");
  EXPECT_EQ(refusal([](auto& m) { m["tokenizer.ggml.merges"] = types_value({1}); }),
            "metadata 'tokenizer.ggml.merges': expected an array of texts");
  EXPECT_EQ(refusal([](auto&) {}),
            "chat template: '{{ bos_token }}': it writes none of the known formats (known: chatml, "
            "qwen3, llama3, llama3.1, gemma, gemma3, zephyr, mistral-v0.1, mistral-v0.2, "
            "mistral-v1, mistral-v3, mistral-v3-tekken, mistral-v7, mistral-v7-tekken; "
            "policy.chat_template or --chat-template names one)");
}

TEST(EmbeddedModels, AreFoundFromABuildOfTheSources) {
  try {
    EXPECT_EQ(load_tokenizer(Checkpoint::open(embedded_policy_model())).size(), 49152);
    EXPECT_TRUE(std::filesystem::exists(embedded_sentence_encoder() + "/vocab.txt"));
  } catch (const Failure& e) {
    EXPECT_EQ(e.error.code, ErrorCode::kNotFound);
    GTEST_SKIP() << "the embedded models are not installed (tools/dev)";
  }
}

}  // namespace
}  // namespace l2a
