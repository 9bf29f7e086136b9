// All weights trained: against the frozen model of the same values, and against themselves. Their
// gradients are held against rows, finite differences and transformers in transformer_test.cpp and
// architectures_test.cpp.

#include "model/full_weights.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/rng.h"
#include "model/decode_batch.h"
#include "model/testing.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;

using testing::random_rows;
using testing::tiny_config;
using testing::with_all_parts;

using Rows = std::vector<std::vector<int32_t>>;

const ModelOptions kFloat = testing::float32_options();
const ModelOptions kBfloat16{.device = testing::device()};

// Every part, with a head of its own and without.
std::vector<TransformerConfig> configs() {
  TransformerConfig untied = with_all_parts(tiny_config(6, 3));
  untied.tied_head = false;
  untied.norms_add_one = true;
  return {tiny_config(6, 3), with_all_parts(tiny_config(4, 2)), untied};
}

FullWeights changed(const TransformerConfig& config, uint64_t seed) {
  FullWeights weights(Transformer::random(config, kFloat, seed));
  const torch::NoGradGuard no_grad;
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  for (const at::Tensor& p : weights.parameters()) {
    p.add_(at::randn(p.sizes(), generator, at::kFloat).to(p.device()), 0.02);
  }
  return weights;
}

at::Tensor all_logits(const Transformer& model, const TrainedWeights* trained, const Rows& rows) {
  return model.logits(model.hidden(build_token_tree(rows), trained), trained);
}

// The next token's logits after each row and `steps` likeliest tokens.
at::Tensor decoded(const Transformer& model, const TrainedWeights* trained, const Rows& rows) {
  const auto cache =
      std::make_shared<const TreeCache>(model.prefill(build_token_tree(rows), trained));
  DecodeBatch batch(model, trained, 5);
  for (size_t r = 0; r < rows.size(); ++r) batch.add(cache, static_cast<int64_t>(r));
  at::Tensor logits = batch.first();
  for (int step = 0; step < 4; ++step) {
    const auto ids = logits.argmax(1).to(at::kCPU, at::kInt);
    logits = batch.step({ids.const_data_ptr<int32_t>(), rows.size()});
  }
  return logits.to(at::kFloat);
}

TEST(FullWeights, StartAsTheFrozenModelToTheBit) {
  Rng rng(3);
  const Rows rows = random_rows(rng, 8, 30, 101);
  for (const TransformerConfig& config : configs()) {
    for (const ComputeType compute : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
      const Transformer model =
          Transformer::random(config, {.compute = compute, .device = testing::device()}, 5);
      const FullWeights weights(Transformer::random(config, kFloat, 5));
      EXPECT_TRUE(at::equal(all_logits(model, &weights, rows), all_logits(model, nullptr, rows)));
      EXPECT_TRUE(at::equal(decoded(model, &weights, rows), decoded(model, nullptr, rows)));
    }
  }
}

// Nothing of the frozen model shows through: another one below gives the same.
TEST(FullWeights, AreAllThatAPassRunsOn) {
  Rng rng(4);
  const Rows rows = random_rows(rng, 8, 30, 101);
  for (const TransformerConfig& config : configs()) {
    const FullWeights weights = changed(config, 6);
    const Transformer one = Transformer::random(config, kBfloat16, 6);
    const Transformer other = Transformer::random(config, kBfloat16, 7);
    EXPECT_TRUE(at::equal(all_logits(one, &weights, rows), all_logits(other, &weights, rows)));
    EXPECT_TRUE(at::equal(decoded(one, &weights, rows), decoded(other, &weights, rows)));
    EXPECT_FALSE(at::equal(all_logits(one, &weights, rows), all_logits(one, nullptr, rows)));
  }
}

std::vector<at::Tensor> gradients(const Transformer& model, const FullWeights& weights) {
  Rng rng(9);
  const Rows rows = random_rows(rng, 12, 40, 101);
  const auto hidden = model.hidden(build_token_tree(rows), &weights);
  const auto targets = at::arange(hidden.size(0), at::kLong) % 101;
  const auto out = model.head(hidden, targets, 0.9, &weights);
  return torch::autograd::grad({out.log_prob_n.sum() + out.entropy_n.sum()}, weights.parameters());
}

TEST(FullWeights, GradientsOfBfloat16AreNearThoseOfFloat32) {
  for (const TransformerConfig& config : configs()) {
    const FullWeights weights(Transformer::random(config, kFloat, 5));
    const auto narrow = gradients(Transformer::random(config, kBfloat16, 5), weights);
    const auto wide = gradients(Transformer::random(config, kFloat, 5), weights);
    for (size_t i = 0; i < wide.size(); ++i) {
      EXPECT_EQ(narrow[i].scalar_type(), at::kFloat);
      EXPECT_LE((narrow[i] - wide[i]).norm().item<double>(), 0.08 * wide[i].norm().item<double>())
          << weights.named_parameters()[i].name;
    }
  }
}

TEST(FullWeights, ActivationsComputedAgainGiveTheSameBits) {
  for (const TransformerConfig& config : configs()) {
    const FullWeights weights = changed(config, 5);
    const auto kept = gradients(Transformer::random(config, kBfloat16, 5), weights);
    const auto again =
        gradients(Transformer::random(
                      config, {.device = testing::device(), .recompute_activations = true}, 5),
                  weights);
    for (size_t i = 0; i < kept.size(); ++i) EXPECT_TRUE(at::equal(kept[i], again[i])) << i;
  }
}

TEST(FullWeights, AreRestoredToTheBit) {
  const fs::path directory = fs::temp_directory_path() / ("l2a_full_" + std::to_string(getpid()));
  const FullWeights saved = changed(configs()[2], 5);
  saved.save(directory, "tiny");
  FullWeights restored(Transformer::random(configs()[2], kFloat, 8));
  restored.restore(directory);
  for (size_t i = 0; i < saved.parameters().size(); ++i) {
    EXPECT_TRUE(at::equal(restored.parameters()[i], saved.parameters()[i]));
  }
  FullWeights other(Transformer::random(configs()[1], kFloat, 8));
  EXPECT_THAT(
      [&] { other.restore(directory); },
      ::testing::Throws<Failure>(::testing::Field(
          &Failure::error,
          ::testing::Field(&Error::message,
                           ::testing::HasSubstr("missing, or not of this model's shape")))));
  fs::remove_all(directory);
}

TEST(FullWeights, ACloneSharesNothing) {
  FullWeights weights(Transformer::random(tiny_config(6, 3), kFloat, 5));
  const auto clone = weights.clone();
  weights.copy_from(changed(tiny_config(6, 3), 5));
  EXPECT_FALSE(at::equal(weights.parameters()[0], clone->parameters()[0]));
}

}  // namespace
}  // namespace l2a
