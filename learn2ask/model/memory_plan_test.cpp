// The plan against what torch's allocator is asked for, and against published sizes.

#include "model/memory_plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>

#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/rng.h"
#include "model/decode_batch.h"
#include "model/full_weights.h"
#include "model/testing.h"

namespace l2a {
namespace {

using testing::random_adapter;
using testing::tiny_config;
using testing::with_all_parts;

// The most bytes of tensors that were held at once since it was made.
class PeakMemory : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t size, size_t, size_t, c10::Device) override {
    now_ += size;
    peak_ = std::max(peak_, now_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  double peak() const { return static_cast<double>(peak_); }

 private:
  int64_t now_ = 0, peak_ = 0;
};

TransformerConfig shape(bool all_parts) {
  TransformerConfig c = tiny_config(8, 2);
  c.layers = 6;
  c.width = 256;
  c.head_dim = 32;
  c.mlp_width = 640;
  c.vocabulary = 1000;
  if (!all_parts) return c;
  c = with_all_parts(c);
  c.has_window.assign(6, false);
  return c;
}

struct Case {
  ComputeType compute;
  bool all_parts;
  size_t tokens;
  bool recompute = false;
};

class PlannedPass : public ::testing::TestWithParam<Case> {
 protected:
  // The most that tensors of a forward and backward pass take.
  double peak_of_pass(const Transformer& model, const TrainedWeights& trained) const {
    const auto target = at::ones({tree_.tokens()}, at::kLong);
    const auto info = std::make_shared<PeakMemory>();
    {
      const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, info);
      model.head(model.hidden(tree_, &trained), target, 1, &trained).log_prob_n.sum().backward();
    }
    return info->peak();
  }

  const TransformerConfig config_ = shape(GetParam().all_parts);
  const ModelOptions options_{.compute = GetParam().compute,
                              .device = "cpu",
                              .recompute_activations = GetParam().recompute};
  const TokenTree tree_ = [] {
    Rng rng(3);
    std::vector<std::vector<int32_t>> rows(1);
    while (rows[0].size() < GetParam().tokens) {
      rows[0].push_back(static_cast<int32_t>(rng.below(1000)));
    }
    return build_token_tree(rows);
  }();
};

TEST_P(PlannedPass, TakesWhatTheAllocatorIsAskedFor) {
  const Transformer model = Transformer::random(config_, options_, 1);
  const LoraAdapter adapter = random_adapter(config_, {.rank = 8, .alpha = 16}, 2);
  const double peak = peak_of_pass(model, adapter);
  const MemoryPlan plan =
      plan_memory(config_, {.model = options_, .file_bits = 16, .lora = adapter.options()});
  // Weights, masters and moments are no part of the pass.
  const double planned = plan.training(tree_.tokens()) - plan.weights() - plan.optimizer;
  EXPECT_NEAR(peak / planned, 1, 0.1) << peak << " of " << planned;

  // But for what panels are padded by, and the slots of a token that the row may be continued by.
  DecodeBatch batch(model, nullptr, 1);
  batch.add(std::make_shared<const TreeCache>(model.prefill(tree_, nullptr)), 0);
  const double cached = plan.cached_token * static_cast<double>(tree_.tokens());
  const double slots = 16 * 16 * plan.cached_token;
  EXPECT_GE(static_cast<double>(batch.bytes()), cached);
  EXPECT_LE(static_cast<double>(batch.bytes()), 1.05 * cached + slots);
}

// The plan adds up what is held at different moments of a pass: activations before it turns,
// gradients after it.
TEST_P(PlannedPass, OfAllWeightsTakesNoMoreAndNotMuchLess) {
  const FullWeights weights(
      Transformer::random(config_, {.compute = ComputeType::kFloat32, .device = "cpu"}, 1));
  const double peak = peak_of_pass(Transformer::random(config_, options_, 1), weights);
  const MemoryPlan plan =
      plan_memory(config_, {.model = options_, .file_bits = 16, .full = true, .lora = {}});
  const double masters = 4 * parameter_count(config_), moments = 8 * parameter_count(config_);
  const double planned = plan.training(tree_.tokens()) - plan.weights() - masters - moments;
  EXPECT_LE(peak, 1.05 * planned);
  EXPECT_GE(peak, 0.7 * planned);
}

INSTANTIATE_TEST_SUITE_P(Shapes, PlannedPass,
                         ::testing::Values(Case{ComputeType::kBfloat16, false, 700},
                                           Case{ComputeType::kFloat32, false, 700},
                                           Case{ComputeType::kBfloat16, true, 700},
                                           Case{ComputeType::kBfloat16, false, 2500},
                                           Case{ComputeType::kBfloat16, false, 2500, true},
                                           Case{ComputeType::kFloat32, true, 700, true}));

TEST(MemoryPlan, CountsTheWeightsThatAModelHolds) {
  for (const bool all_parts : {false, true}) {
    const TransformerConfig c = shape(all_parts);
    const MemoryPlan dense = plan_memory(c, {});
    MemoryPlanOptions kept;
    kept.file_bits = 4.5;
    kept.model.keep_quantized = true;
    const MemoryPlan quantized = plan_memory(c, kept);
    // Of matrices: all parameters but norms and biases, which are less than a hundredth.
    EXPECT_NEAR(dense.weights() / (2.0 * parameter_count(c)), 1, 0.01);
    EXPECT_DOUBLE_EQ(quantized.layers, dense.layers * 4.5 / 16);
    EXPECT_DOUBLE_EQ(quantized.widened_layer, dense.layers / static_cast<double>(c.layers));
    MemoryPlanOptions int8;
    int8.model.int8_generation = true;
    const double head = static_cast<double>(c.vocabulary * c.width);
    EXPECT_DOUBLE_EQ(plan_memory(c, int8).weights() - dense.weights(),
                     (dense.layers / 2 + head) * 17 / 16);
  }
}

// The largest counts that a file's settings may have.
TEST(MemoryPlan, OfAHostileShapeIsLargeAndNotNegative) {
  TransformerConfig c = shape(true);
  for (int64_t* count :
       {&c.layers, &c.width, &c.heads, &c.kv_heads, &c.head_dim, &c.mlp_width, &c.vocabulary}) {
    *count = int64_t{1} << 24;
  }
  const MemoryPlan plan = plan_memory(c, {});
  EXPECT_GT(parameter_count(c), 0x1p96);
  for (const double bytes : {plan.weights(), plan.trained, plan.training(1), plan.rollout(1)}) {
    EXPECT_GT(bytes, 0x1p48);
    EXPECT_TRUE(std::isfinite(bytes));
  }
}

// As their model cards and files have them.
TEST(MemoryPlan, KnowsTheSizesOfPublishedModels) {
  const std::map<std::string, int64_t> published = {
      {"SmolLM2-135M", 134515008},  {"SmolLM2-360M", 361821120},  {"Qwen2.5-0.5B", 494032768},
      {"Qwen2.5-1.5B", 1543714304}, {"Qwen2.5-3B", 3085938688},   {"Qwen2.5-7B", 7615616512},
      {"Qwen2.5-14B", 14770033664}, {"Qwen2.5-32B", 32763876352}, {"Qwen2.5-72B", 72706203648}};
  const auto shapes = known_shapes();
  EXPECT_EQ(shapes.size(), published.size());
  for (const auto& [name, config] : shapes) {
    EXPECT_EQ(parameter_count(config), static_cast<double>(published.at(name))) << name;
  }
}

}  // namespace
}  // namespace l2a
