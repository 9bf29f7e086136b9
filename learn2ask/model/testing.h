// Small random models, adapters and token rows for tests, and what their results are held against.
#pragma once

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/error.h"
#include "base/file.h"
#include "base/rng.h"
#include "model/decode_batch.h"
#include "model/lora.h"
#include "model/transformer.h"
#include "weights/safetensors.h"

namespace l2a::testing {

// Where the tests' models run: what $L2A_TEST_DEVICE names, or the CPU.
inline std::string device() {
  const char* const name = std::getenv("L2A_TEST_DEVICE");
  return name ? name : "cpu";
}

inline ModelOptions float32_options() {
  return {.compute = ComputeType::kFloat32, .device = device()};
}

inline at::Tensor rows_at(const at::Tensor& x, const std::vector<int64_t>& places) {
  return x.index_select(0, at::tensor(places).to(x.device()));
}

inline TransformerConfig tiny_config(int64_t heads, int64_t kv_heads) {
  TransformerConfig c;
  c.layers = 2;
  c.width = 48;
  c.heads = heads;
  c.kv_heads = kv_heads;
  c.head_dim = 8;
  c.mlp_width = 80;
  c.vocabulary = 101;
  c.max_positions = 4096;
  return c;
}

// The same with every part that some architecture has; its second layer sees 5 tokens.
inline TransformerConfig with_all_parts(TransformerConfig c) {
  c.activation = Activation::kGeluTanh;
  c.qkv_bias = c.qk_norm = c.post_norms = true;
  c.embedding_scale = 2.5;
  c.local_rotary = {.theta = 300, .scaling = RotaryScaling::kLinear, .factor = 2};
  c.window = 5;
  c.has_window = {false, true};
  c.query_scalar = 11;
  c.logit_softcap = 4;
  return c;
}

// An adapter whose B is not zero, as after some training.
inline LoraAdapter random_adapter(const TransformerConfig& config, const LoraOptions& options,
                                  uint64_t seed) {
  LoraAdapter adapter(config, options, seed);
  const torch::NoGradGuard no_grad;
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  for (const LoraPair& pair : adapter.pairs()) pair.b_or.normal_(0, 0.02, generator);
  return adapter;
}

// Rows as sessions make them: each continues a prefix of an earlier one, or starts anew.
inline std::vector<std::vector<int32_t>> random_rows(Rng& rng, size_t count, size_t max_new,
                                                     int32_t vocabulary) {
  std::vector<std::vector<int32_t>> rows;
  while (rows.size() < count) {
    std::vector<int32_t> row;
    if (!rows.empty() && rng.chance(0.85)) {
      row = rng.pick(rows);
      row.resize(rng.below(row.size() + 1));
    }
    const size_t length = row.size() + rng.below(max_new + 1);
    while (row.size() < length) row.push_back(static_cast<int32_t>(rng.below(vocabulary)));
    if (!row.empty()) rows.push_back(row);
  }
  return rows;
}

// A tensor of what a reference wrote: float32 or int64.
inline at::Tensor tensor_of(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor* stored = file.find(name);
  if (!stored) fail_input("reference: " + name + ": missing");
  const bool whole = stored->type == ElementType::kI64;
  auto values = at::empty(stored->shape, whole ? at::kLong : at::kFloat);
  std::memcpy(values.data_ptr(), stored->data.data(), stored->data.size());
  return values;
}

// Rounding of sums grows like the root of their terms and of the layers: ulps of the norm.
constexpr double kTolerance = 64 * std::numeric_limits<float>::epsilon();
constexpr double kGradientTolerance = 256 * std::numeric_limits<float>::epsilon();

// A logit that is off by e moves log p by 2 e at most; and the entropy by e times the logits'
// deviation under the softmax, which is 2 ln(vocabulary) at most.
inline void expect_head(const HeadOutput& out, const at::Tensor& logits, const at::Tensor& target,
                        double tolerance) {
  const auto log_p = logits.to(at::kDouble).log_softmax(1);
  const auto entropy = -(log_p.exp() * log_p).sum(1);
  const auto of_target = log_p.gather(1, target.unsqueeze(1)).squeeze(1);
  EXPECT_LE((out.log_prob_n.detach().cpu() - of_target).norm().item<double>(), 2 * tolerance);
  EXPECT_LE((out.entropy_n.detach().cpu() - entropy).norm().item<double>(),
            2 * std::log(static_cast<double>(logits.size(1))) * tolerance);
}

// The 64 likeliest tokens with which the base model continues each row, int64 [rows, 64].
inline at::Tensor continue_greedily(const Transformer& model,
                                    const std::vector<std::vector<int32_t>>& rows) {
  constexpr int64_t kTokens = 64;
  const auto cache =
      std::make_shared<const TreeCache>(model.prefill(build_token_tree(rows), nullptr));
  DecodeBatch batch(model, nullptr, kTokens);
  for (size_t r = 0; r < rows.size(); ++r) batch.add(cache, static_cast<int64_t>(r));
  std::vector<at::Tensor> chosen;
  at::Tensor logits = batch.first();
  for (int64_t step = 0; step < kTokens; ++step) {
    chosen.push_back(logits.argmax(1).cpu());
    const auto ids = chosen.back().to(at::kInt).contiguous();
    logits = batch.step({ids.const_data_ptr<int32_t>(), rows.size()});
  }
  return at::stack(chosen, 1);
}

// Whether the references can be run here.
inline bool has_python() { return std::filesystem::exists(L2A_PYTHON); }

// Runs `python tests/reference/SCRIPT ARGUMENTS`. Throws Failure with what it printed, which goes
// to `log` meanwhile.
inline void run_reference(const std::string& script, const std::string& arguments,
                          const std::filesystem::path& log) {
  const std::string command = "LD_PRELOAD= OMP_WAIT_POLICY=passive " L2A_PYTHON " " L2A_SOURCE_DIR
                              "/tests/reference/" +
                              script + " " + arguments + " >" + log.string() + " 2>&1";
  if (std::system(command.c_str()) != 0) {
    fail(ErrorCode::kUnavailable, "reference: " + read_file(log));
  }
}

}  // namespace l2a::testing
