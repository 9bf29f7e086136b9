// The policy model made ready: checkpoint, tokenizer, chat template, prompt, reply format.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/config.h"
#include "cli/policy_prompt.h"
#include "dialogue/action.h"
#include "model/transformer.h"
#include "reward/fusion.h"
#include "rollout/context_window.h"

namespace l2a {

struct PolicyOptions {
  std::string model;                 // empty: the embedded SmolLM2-135M-Instruct
  std::string compute = "bfloat16";  // 2.4 times as fast as float32 where the processor has it
  std::string device = "cpu";
  bool keep_quantized = false;
  bool recompute_activations = false;
  bool int8_generation = false;
  std::string deterministic = "same_batch";
  std::string reply_format = "plain";
  std::string prompt;         // empty: the shipped one of the reply format
  std::string chat_template;  // empty: what the model's own is recognised as
  std::string user_opens;
  bool cut_oldest_turns = false;
  int64_t threads = 0;

  template <class Visitor>
  void visit(Visitor& v) {
    v("model", model,
      "policy model: GGUF file or Hugging Face folder; empty: the embedded SmolLM2-135M-Instruct");
    v.choice("compute", compute, {"bfloat16", "float32"}, "type of the model's arithmetic");
    v("device", device, "where the model runs: cpu, cuda, cuda:1");
    v("keep_quantized", keep_quantized,
      "widen the layers' weights from the file for each pass: the memory of the file, slower");
    v("recompute_activations", recompute_activations,
      "training computes a layer again for its backward pass: less memory, 1.4 times the time");
    v("int8_generation", int8_generation,
      "sample replies in eight bits: faster, nearly the same; what trains and scores them is exact "
      "(on the CPU)");
    v.choice("deterministic", deterministic, {"same_batch", "batch_invariant"},
             "a reply is the same bits for the same batch and threads, or for any (on the CPU)");
    v.choice("reply_format", reply_format, {"plain", "tuple"}, "how a reply says stop or continue");
    v("prompt", prompt, "file of the system prompt; empty: the shipped one");
    v("chat_template", chat_template,
      "chat format: chatml, llama3, gemma3, ...; empty: the one that the model's own template is");
    v("user_opens", user_opens,
      "what the user says before a dialogue that the expert opens, for models that want the user "
      "to speak first; empty: nothing");
    v("cut_oldest_turns", cut_oldest_turns,
      "leave out the oldest turns of a dialogue that the model cannot hold; else it is an error");
    v("threads", threads, Range{0, 1024}, "threads of the model's arithmetic; 0: one a core");
  }
};

// Members refer to each other: kept on the heap, neither copied nor moved.
class PolicySetup {
 public:
  // Throws Failure for anything that is missing or does not fit together. `fusion` picks the
  // shipped prompt: micro-only rewards go with a prompt that has no stop rule.
  PolicySetup(const PolicyOptions& options, Fusion fusion);
  PolicySetup(const PolicySetup&) = delete;
  PolicySetup& operator=(const PolicySetup&) = delete;

  std::string model_name;  // for tables and adapter_config.json
  ReplyFormat format;
  PolicyPrompt prompt;
  BpeTokenizer tokenizer;
  ChatTemplate chat;
  Transformer model;

  ContextWindow window() const;
  std::pair<std::string, std::string> prompt_hash() const;  // name, SHA-256
  // Of the GGUF file, or of the hashes of a folder's files; reads all of them. Throws Failure.
  std::string model_sha256() const;

 private:
  std::vector<std::filesystem::path> model_files_;
  std::string user_opens_;
  bool cut_oldest_turns_;
  PolicySetup(const PolicyOptions& options, Fusion fusion, const Checkpoint& files);
};

}  // namespace l2a
