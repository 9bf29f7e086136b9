// I*_t read by a language model. It only points: at an expert's question, at the user's words that
// answer it. Every fact is a quotation that stands in the log, and what a context already contains
// is decided by targets_of(), as it is for the rules; nothing that a model writes becomes a label.
//
// Source: arXiv 2510.25441, section 3.1. The paper asks once a turn; one reading of the whole
// session gives the same pairs for all its turns, at the cost of one call.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "hindsight/extract.h"
#include "llm/chat.h"
#include "llm/prompt.h"

namespace l2a {

struct LlmExtractionOptions {
  std::string per = "session";
  std::string prompt = "en";
  int64_t max_answer_tokens = 2048;
  int64_t sessions_at_once = 256;

  template <class Visitor>
  void visit(Visitor& v) {
    v.choice("per", per, {"session", "turn"},
             "one call reads a whole session, or one for each expert turn as the published code's");
    v("prompt", prompt, "en, zh, or a file of your own (form: docs/formats/prompts.md)");
    v("max_answer_tokens", max_answer_tokens, Range{16, 1 << 20}, "an answer's length");
    v("sessions_at_once", sessions_at_once, Range{1, 1 << 20}, "held in memory while calls run");
  }
};

// What a model pointed at, so far.
struct ExtractionCounts {
  size_t answers = 0;    // pairs of question and answer
  size_t not_said = 0;   // rejected: the quotation is not in that message of the user
  size_t not_asked = 0;  // rejected: no question of the expert came before it
};

// Not thread-safe.
class LlmExtractor final : public Extractor {
 public:
  // The names that a prompt's places have, for Prompt::load().
  static std::vector<std::string> places(const LlmExtractionOptions& options);

  // `client` and `forms` must outlive it.
  LlmExtractor(ChatClient& client, Prompt prompt, const QuestionForms& forms,
               LlmExtractionOptions options);
  std::string name() const override;  // "MODEL at URL, a session at a time"
  std::string prompt_sha256() const override { return prompt_.sha256(); }
  size_t batch() const override { return static_cast<size_t>(options_.sessions_at_once); }
  std::vector<Targets> extract(std::span<const Gathering> gatherings) override;
  const ExtractionCounts& counts() const { return counts_; }

 private:
  void ask(const Gathering& gathering, const Prompt::Values& values,
           std::function<void(Result<std::vector<Exchange>>)> on_exchanges);
  Result<std::vector<Exchange>> read(const Gathering& gathering, const Json& answer);
  ChatClient& client_;
  Prompt prompt_;
  const QuestionForms& forms_;
  LlmExtractionOptions options_;
  ExtractionCounts counts_;
};

}  // namespace l2a
