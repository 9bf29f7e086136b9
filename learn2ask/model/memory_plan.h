// The memory that a policy and its training take, counted from the model's shape:
// what `learn2ask model plan` shows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/lora.h"
#include "model/transformer.h"

namespace l2a {

struct MemoryPlanOptions {
  ModelOptions model;
  double file_bits = 16;  // of a weight in the layers' matrices, in the model's file
  bool full = false;      // all weights are trained, else an adapter
  LoraOptions lora;
};

// In bytes. What the passes hold is counted; libraries and what allocators waste come on top.
struct MemoryPlan {
  double embedding = 0;      // and the head, where it is not tied; in the compute type
  double layers = 0;         // in the compute type; with keep_quantized, as the file has them
  double widened_layer = 0;  // with keep_quantized: the one at work, in the compute type
  double int8 = 0;           // with int8_generation: layers and head once more
  double trained = 0;        // float32, and the copies that a training pass makes of it
  double optimizer = 0;      // its gradients, and AdamW's two moments
  double decoding = 0;       // copies that a rollout makes of it, where all is trained
  double copy = 0;           // its values once more: of a reference (DPO, KL), of an average
  double head = 0;           // the logits of a chunk of rows, and their gradients
  // For each token of a training pass: kept for the backward pass; held by the layer at work.
  double kept_token = 0, working_token = 0;
  // Keys and values of a token in a rollout: as the prefill leaves them and, on the CPU, as this
  // machine's products read them.
  double cached_token = 0;

  double weights() const { return embedding + layers + widened_layer + int8; }
  // The most that a tree of so many tokens needs beside what it keeps, in a layer or in the head.
  double at_work(int64_t tokens) const;
  // The most that a forward and backward pass over a tree of so many tokens holds.
  double training(int64_t tokens) const;
  // The most that reading so many tokens of contexts, at worst in one tree, and decoding on them
  // holds; the replies' own keys and values are among them.
  double rollout(int64_t cached_tokens) const;
};

MemoryPlan plan_memory(const TransformerConfig& config, const MemoryPlanOptions& options);

// Shapes that stand in for a model whose files are not at hand: those of Qwen2.5 and SmolLM2.
struct KnownShape {
  const char* name;
  TransformerConfig config;
};
std::vector<KnownShape> known_shapes();

double parameter_count(const TransformerConfig& config);

}  // namespace l2a
