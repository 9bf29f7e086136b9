// A byte-level tokenizer with a ChatML template and a small random model: all that sampling and
// training need, made in milliseconds.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include <ATen/Parallel.h>

#include "base/utf8.h"
#include "model/testing.h"
#include "rollout/context_window.h"
#include "tokenizer/bpe.h"
#include "tokenizer/chat_template.h"

namespace l2a::testing {

// GPT-2's byte-to-unicode alphabet: printable bytes stand for themselves, the others for code
// points from 256 on.
inline std::string byte_symbol(int byte) {
  int shifted = 256;
  const auto printable = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  };
  for (int b = 0; b < byte; ++b) shifted += !printable(b);
  std::string out;
  append_utf8(out, static_cast<char32_t>(printable(byte) ? byte : shifted));
  return out;
}

// 256 bytes, one merge ("th"), and ChatML's two special tokens.
inline BpeTokenizer byte_tokenizer() {
  BpeVocabulary v;
  for (int b = 0; b < 256; ++b) v.tokens.push_back(byte_symbol(b));
  v.tokens.insert(v.tokens.end(), {"th", "<|im_start|>", "<|im_end|>"});
  v.merges = {{"t", "h"}};
  v.is_special.assign(v.tokens.size(), false);
  v.is_special[257] = v.is_special[258] = true;
  return BpeTokenizer(std::move(v));
}

struct TinyChat {
  explicit TinyChat(uint64_t seed = 3, bool int8_generation = false)
      : tokenizer(byte_tokenizer()),
        chat(ChatTemplate::named("chatml", {}, tokenizer).value_or_throw()),
        model(Transformer::random(config(),
                                  {.compute = ComputeType::kFloat32,
                                   .device = int8_generation ? "cpu" : device(),
                                   .int8_generation = int8_generation},
                                  seed)) {
    at::set_num_threads(1);  // for matrices this small, threads mostly wait for each other
  }

  ContextWindow window(bool cut_oldest_turns = false) const {
    return {chat,
            {.system_prompt = "Ask.",
             .max_positions = config().max_positions,
             .cut_oldest_turns = cut_oldest_turns}};
  }

  static TransformerConfig config() {
    TransformerConfig c = tiny_config(4, 2);
    c.width = 32;
    c.vocabulary = 259;
    c.max_positions = 512;
    return c;
  }

  BpeTokenizer tokenizer;
  ChatTemplate chat;
  Transformer model;
};

}  // namespace l2a::testing
