// With int8_generation replies are sampled in eight bits, and nothing else is.

#include <memory>
#include <vector>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/rng.h"
#include "model/decode_batch.h"
#include "model/testing.h"

namespace l2a {
namespace {

using testing::random_adapter;
using testing::tiny_config;
using testing::with_all_parts;

struct Case {
  ComputeType compute;
  bool all_parts;
};

class Int8Generation : public ::testing::TestWithParam<Case> {
 protected:
  static TransformerConfig config() {
    const TransformerConfig c = tiny_config(6, 3);
    return GetParam().all_parts ? with_all_parts(c) : c;
  }
  static Transformer make(bool int8) {
    return Transformer::random(
        config(), {.compute = GetParam().compute, .device = "cpu", .int8_generation = int8}, 1);
  }
  static std::vector<std::vector<int32_t>> rows() {
    Rng rng(3);
    return testing::random_rows(rng, 10, 40, 101);
  }

  const Transformer exact_ = make(false), int8_ = make(true);
  const LoraAdapter adapter_ = random_adapter(config(), {.rank = 3, .alpha = 6}, 2);
};

TEST_P(Int8Generation, LeavesWhatTrainsAndScoresAlone) {
  const TokenTree tree = build_token_tree(rows());
  const auto target = at::arange(tree.tokens()) % 101;
  const auto pass = [&](const Transformer& model) {
    const auto hidden = model.hidden(tree, &adapter_);
    const HeadOutput out = model.head(hidden, target, 0.9);
    auto results =
        torch::autograd::grad({out.log_prob_n.sum() + out.entropy_n.sum()}, adapter_.parameters());
    for (const auto& more : {hidden, out.log_prob_n, out.entropy_n, model.logits(hidden)}) {
      results.push_back(more);
    }
    return results;
  };
  const auto expected = pass(exact_), got = pass(int8_);
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(at::equal(got[i], expected[i])) << i;
}

// Each product is off by about a hundredth of its norm, which layers and norms carry on.
TEST_P(Int8Generation, DecodesNearlyTheSameLogits) {
  constexpr int64_t kNew = 8;
  const auto all = rows();
  const auto logits = [&](const Transformer& model) {
    const auto cache =
        std::make_shared<const TreeCache>(model.prefill(build_token_tree(all), &adapter_));
    DecodeBatch batch(model, &adapter_, kNew);
    for (size_t r = 0; r < all.size(); ++r) batch.add(cache, static_cast<int64_t>(r));
    std::vector<at::Tensor> steps = {batch.first()};
    for (int32_t step = 0; step < kNew; ++step) {
      steps.push_back(batch.step(std::vector<int32_t>(all.size(), 7 * step + 1)));
    }
    return at::cat(steps).to(at::kDouble);
  };
  const auto expected = logits(exact_), got = logits(int8_);
  const double off = ((got - expected).norm() / expected.norm()).item<double>();
  EXPECT_GT(off, 1e-3) << "not in eight bits";
  EXPECT_LT(off, 0.05);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Int8Generation,
                         ::testing::Values(Case{ComputeType::kFloat32, false},
                                           Case{ComputeType::kFloat32, true},
                                           Case{ComputeType::kBfloat16, false},
                                           Case{ComputeType::kBfloat16, true}));

}  // namespace
}  // namespace l2a
