// The Llama-family decoder on token trees: forward, backward into what is trained, and cached
// decoding.
//
// Shape suffixes: n packed tokens, d width, v vocabulary, r rows, k kv heads, h head dim.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/config.h"
#include "model/token_tree.h"
#include "model/trained_weights.h"
#include "weights/checkpoint.h"

namespace l2a {

enum class ComputeType { kFloat32, kBfloat16 };

struct ModelOptions {
  ComputeType compute = ComputeType::kBfloat16;
  // Asked for once, here: cpu, cuda, cuda:1, or what else LibTorch was built for. On CUDA
  // LibTorch's deterministic algorithms are on from then on, in the whole process; that the same
  // seed gives the same bits elsewhere than on the CPU is not promised.
  std::string device = "cpu";
  // The layers' matrices stay in the file's element types, mapped, and are widened one layer at a
  // time whenever a pass comes to it. Same values; each pass, and each token decoded, pays for it.
  bool keep_quantized = false;
  // What a layer computes on the way is not kept for its backward pass but computed again there,
  // from its input: same bits, less memory, more time (docs/formats/models.md).
  bool recompute_activations = false;
  // Forward passes give a token the same bits whatever else is in the batch and on any number of
  // threads. On the CPU only.
  bool batch_invariant = false;
  // Prefill and decoding multiply with weights and tokens in eight bits (int8_matrix.h); hidden()
  // and head(), by which policies are trained and scored, never do. On the CPU only.
  bool int8_generation = false;
};

// Keys and values of a tree's tokens, rotated, per layer [k, n, h] in the compute type.
struct TreeCache {
  TokenTree tree;
  std::vector<at::Tensor> keys, values;
  at::Tensor hidden_nd;  // after the final norm
};

// log p(target) and the distribution's entropy, both in nats, float32 [n].
struct HeadOutput {
  at::Tensor log_prob_n;
  at::Tensor entropy_n;
};

// Frozen weights. Immutable once made: safe to use from several threads, on CUDA from one at a time
// (unordered_writes.h).
class Transformer {
 public:
  // Throws Failure naming the tensor or key that is missing, of the wrong shape, or of a part that
  // we don't compute.
  static Transformer load(const Checkpoint& files, const ModelOptions& options);
  // Shape and parts alone, without reading weights. Throws Failure likewise.
  static TransformerConfig read_config(const Checkpoint& files);
  // For tests: weights drawn from `seed`.
  static Transformer random(const TransformerConfig& config, const ModelOptions& options,
                            uint64_t seed);

  const TransformerConfig& config() const { return config_; }
  const ModelOptions& options() const { return options_; }

  // Hidden states after the final norm, [n, d] in the compute type. Differentiable with respect
  // to the parameters of `trained` when autograd is on; null is the frozen model. Parameters are
  // cast to the compute type; their gradients arrive in float32.
  at::Tensor hidden(const TokenTree& tree, const TrainedWeights* trained) const;

  // log-softmax at `target_n` (int64 [n]) of logits / temperature, from hidden states [n, d].
  // Head and softmax are fused in chunks of rows: no [n, v] tensor exists. Differentiable with
  // respect to `hidden_nd`, and to the head where `trained`, the same as hidden()'s, has one, in
  // both outputs.
  HeadOutput head(const at::Tensor& hidden_nd, const at::Tensor& target_n, double temperature = 1,
                  const TrainedWeights* trained = nullptr) const;

  // float32 [n, v], by the head that scores; no autograd.
  at::Tensor logits(const at::Tensor& hidden_nd, const TrainedWeights* trained = nullptr) const;

  // Forward pass of a tree that keeps keys and values for decoding; no autograd.
  TreeCache prefill(TokenTree tree, const TrainedWeights* trained) const;

  struct Weights;  // transformer_weights.h, private to this module

 private:
  friend class DecodeBatch;
  friend class FullWeights;
  TransformerConfig config_;
  ModelOptions options_;
  std::shared_ptr<const Weights> weights_;
};

}  // namespace l2a
