// Low-rank adapters on every linear layer of the transformer: y = x W' + (alpha/r) (x A') B'.
// Source: arXiv 2106.09685. Saved in PEFT's format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "base/config.h"
#include "model/config.h"
#include "model/trained_weights.h"

namespace l2a {

struct LoraOptions {
  int64_t rank = 16;
  double alpha = 32;  // the update is scaled by alpha / rank

  bool operator==(const LoraOptions&) const = default;

  template <class Visitor>
  void visit(Visitor& v) {
    v("rank", rank, Range{1, 512}, "rank r of a new adapter's matrices; --adapter keeps its own");
    v("alpha", alpha, Range{0.001, 4096}, "the update is scaled by alpha / rank");
  }
};

// Of an adapter in PEFT's format, read from its adapter_config.json. Throws Failure, also for a
// variant of LoRA that we don't compute.
LoraOptions read_lora_options(const std::filesystem::path& directory);

// One adapted linear layer. float32 master weights, requires_grad.
struct LoraPair {
  std::string module;  // Hugging Face name: "model.layers.0.self_attn.q_proj"
  at::Tensor a_ri;     // [rank, in], float32
  at::Tensor b_or;     // [out, rank], float32, zero at the start
};

class LoraAdapter : public TrainedWeights {
 public:
  // B = 0; A uniform as PEFT starts it (Kaiming, a = sqrt 5), drawn from `seed` by our own
  // generator, so that it is the same on every machine.
  LoraAdapter(const TransformerConfig& config, const LoraOptions& options, uint64_t seed);
  // Reads adapter_config.json and adapter_model.safetensors. Throws Failure naming what does
  // not fit `config`.
  static LoraAdapter load(const std::filesystem::path& directory, const TransformerConfig& config);
  // Writes what peft.PeftModel.from_pretrained reads. `base_name` goes to adapter_config.json.
  void save(const std::filesystem::path& directory, const std::string& base_name) const override;
  void restore(const std::filesystem::path& directory) override;
  // A new adapter's matrices are on the CPU, and a pass copies them to where its model is. Those
  // that are trained are better there from the start. Parameters that were taken before stay.
  void move_to(at::Device device);

  const LoraOptions& options() const { return options_; }
  double scale() const { return options_.alpha / static_cast<double>(options_.rank); }
  // In layer order, per layer: q, k, v, o, gate, up, down.
  const std::vector<LoraPair>& pairs() const { return pairs_; }
  // A and B of each pair, in order: MODULE.lora_A and MODULE.lora_B.
  std::vector<TrainedParameter> named_parameters() const override;
  std::unique_ptr<TrainedWeights> clone() const override;
  // W + alpha/r B A.
  at::Tensor merged(const std::string& name, at::Tensor stored) const override;
  bool changes(const std::string& name) const override { return pair_of(name) != nullptr; }
  PassWeights over(const PassWeights& frozen) const override;
  at::Tensor head_over(const at::Tensor& frozen_vd) const override { return frozen_vd; }

 private:
  LoraAdapter(TransformerConfig config, LoraOptions options, std::vector<LoraPair> pairs);
  const LoraPair* pair_of(const std::string& tensor) const;

  TransformerConfig config_;
  LoraOptions options_;
  std::vector<LoraPair> pairs_;
};

}  // namespace l2a
