// Has a language model write better prompts: it says first what in the prompt leads to the
// mistakes, and then writes another one.
//
// Source: the two steps are those of arXiv 2305.03495.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/config.h"
#include "calibrate/prompt_search.h"
#include "llm/chat.h"
#include "llm/prompt.h"

namespace l2a {

struct PromptWriterOptions {
  std::string prompt = "en";
  std::string model;
  double temperature = 0.7;
  int64_t mistakes_shown = 6;
  int64_t max_answer_tokens = 4096;

  template <class Visitor>
  void visit(Visitor& v) {
    v("prompt", prompt, "language of what it is told: en or zh");
    v("model", model, "at llm.url; empty: llm.model");
    v("temperature", temperature, Range{0, 2}, "of its answers: candidates are to differ");
    v("mistakes_shown", mistakes_shown, Range{1, 100},
      "cases that the prompt got wrong, drawn anew for each candidate");
    v("max_answer_tokens", max_answer_tokens, Range{64, 1 << 20}, "an answer's length");
  }
};

// Not thread-safe.
class LlmPromptWriter final : public PromptWriter {
 public:
  // What a case looks like for whoever reads it.
  using Describe = std::function<std::string(const Mistake&)>;
  // What is wrong with a prompt's text; nullopt: nothing.
  using Refuse = std::function<std::optional<Error>(const std::string&)>;

  static std::vector<std::string> critique_places() { return {"prompt", "mistakes"}; }
  static std::vector<std::string> rewrite_places() { return {"prompt", "critique"}; }

  // `client` must outlive it.
  LlmPromptWriter(ChatClient& client, Prompt critique, Prompt rewrite, PromptWriterOptions options,
                  uint64_t seed, Describe describe, Refuse refuse);
  // A candidate whose text is refused twice is among the refused; one whose call fails is left out.
  // Throws Failure where nothing is left to try: kUnavailable, or the code of a call that was not
  // answered.
  Rewriting rewrite(const std::string& prompt, std::span<const Mistake> mistakes, size_t count,
                    size_t round) override;
  // Sentence by sentence (calibrate/prompt_changes.h). Asks nobody.
  std::vector<std::string> take_back_one(const std::string& prompt,
                                         const std::string& in_use) const override;

 private:
  std::string some_of(std::span<const Mistake> mistakes, size_t round, size_t candidate) const;
  ChatClient& client_;
  Prompt critique_, rewrite_;
  PromptWriterOptions options_;
  uint64_t seed_;
  Describe describe_;
  Refuse refuse_;
};

}  // namespace l2a
