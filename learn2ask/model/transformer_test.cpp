// The transformer on small random models. What each result is held against is computed another
// way: rows one by one, double precision, torch's own autograd.

#include "model/transformer.h"

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/rng.h"
#include "model/full_weights.h"
#include "model/testing.h"

namespace l2a {
namespace {

using testing::random_adapter;
using testing::random_rows;
using testing::tiny_config;
using testing::with_all_parts;

using Rows = std::vector<std::vector<int32_t>>;

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();
const ModelOptions kFloat = testing::float32_options();

at::Tensor targets_of(const std::vector<int32_t>& row) {
  return at::tensor(std::vector<int64_t>(row.begin() + 1, row.end()), at::kLong);
}

// Sum over rows of weight * mean log p(next token) + 0.1 * entropy, from the whole tree.
at::Tensor tree_loss(const Transformer& model, const TrainedWeights& trained, const Rows& rows) {
  const TokenTree tree = build_token_tree(rows);
  const auto hidden = model.hidden(tree, &trained);
  auto loss = at::zeros({});
  for (size_t r = 0; r < rows.size(); ++r) {
    if (rows[r].size() < 2) continue;
    const auto places = row_tokens(tree, r, 0, tree.row_length[r] - 1);
    const auto out = model.head(testing::rows_at(hidden, places), targets_of(rows[r]), 1, &trained);
    loss = loss + (1.0 + r) * (out.log_prob_n.mean() + 0.1 * out.entropy_n.mean());
  }
  return loss;
}

// The same, each row by itself.
at::Tensor row_loss(const Transformer& model, const TrainedWeights& trained, const Rows& rows) {
  auto loss = at::zeros({});
  for (size_t r = 0; r < rows.size(); ++r) {
    loss = loss + (1.0 + r) * tree_loss(model, trained, {rows[r]});
  }
  return loss;
}

std::vector<at::Tensor> gradients(const TrainedWeights& trained, const at::Tensor& loss) {
  return torch::autograd::grad({loss}, trained.parameters());
}

// Rounding of sums of n terms grows like sqrt(n) ulps of their norm.
void expect_close(const at::Tensor& a, const at::Tensor& b, double ulps, const std::string& what) {
  ASSERT_EQ(a.sizes(), b.sizes()) << what;
  const auto exact = b.cpu().to(at::kDouble);
  const double error = (a.cpu() - exact).norm().item<double>();
  const double norm = exact.norm().item<double>();
  EXPECT_LE(error, ulps * kEpsilon * norm) << what << ": norm " << norm;
}

struct Shape {
  int64_t heads, kv_heads;
  bool all_parts = false;

  TransformerConfig config() const {
    const TransformerConfig c = tiny_config(heads, kv_heads);
    return all_parts ? with_all_parts(c) : c;
  }
};

class TreeEqualsRows : public ::testing::TestWithParam<Shape> {};

TEST_P(TreeEqualsRows, HiddenStates) {
  const TransformerConfig config = GetParam().config();
  const Transformer model = Transformer::random(config, kFloat, 7);
  const LoraAdapter adapter = random_adapter(config, {.rank = 4, .alpha = 8}, 8);
  const torch::NoGradGuard no_grad;
  Rng rng(9);
  for (int trial = 0; trial < 8; ++trial) {
    const Rows rows = random_rows(rng, 12, 60, 101);
    const TokenTree tree = build_token_tree(rows);
    const auto shared = model.hidden(tree, &adapter);
    for (size_t r = 0; r < rows.size(); ++r) {
      const auto places = row_tokens(tree, r, 0, tree.row_length[r]);
      const auto alone = model.hidden(build_token_tree(Rows{rows[r]}), &adapter);
      expect_close(testing::rows_at(shared, places), alone, 64, "row");
    }
  }
}

void expect_tree_gradients_are_rows(const Transformer& model, const TrainedWeights& trained) {
  Rng rng(19);
  for (int trial = 0; trial < 4; ++trial) {
    const Rows rows = random_rows(rng, 10, 50, 101);
    const auto shared = gradients(trained, tree_loss(model, trained, rows));
    const auto separate = gradients(trained, row_loss(model, trained, rows));
    for (size_t i = 0; i < shared.size(); ++i) {
      EXPECT_EQ(shared[i].scalar_type(), at::kFloat);
      expect_close(shared[i], separate[i], 256, trained.named_parameters()[i].name);
    }
  }
}

TEST_P(TreeEqualsRows, GradientsOfEveryAdapterMatrix) {
  const TransformerConfig config = GetParam().config();
  expect_tree_gradients_are_rows(Transformer::random(config, kFloat, 17),
                                 random_adapter(config, {.rank = 4, .alpha = 8}, 18));
}

TEST_P(TreeEqualsRows, GradientsOfEveryWeight) {
  const Transformer model = Transformer::random(GetParam().config(), kFloat, 17);
  expect_tree_gradients_are_rows(model, FullWeights(model));
}

INSTANTIATE_TEST_SUITE_P(Shapes, TreeEqualsRows,
                         ::testing::Values(Shape{6, 6}, Shape{6, 1}, Shape{9, 3}, Shape{5, 5},
                                           Shape{7, 1}, Shape{6, 2, true}, Shape{5, 1, true}));

// A transformer layer by layer in double precision from torch's own operators would be a second
// implementation; finite differences need none.
class FiniteDifferences : public ::testing::TestWithParam<TransformerConfig> {};

void expect_finite_differences(const Transformer& model, const TrainedWeights& trained) {
  Rng rng(29);
  const Rows rows = random_rows(rng, 6, 20, 101);
  const auto grads = gradients(trained, tree_loss(model, trained, rows));
  const auto parameters = trained.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const torch::NoGradGuard no_grad;
    auto generator = at::make_generator<at::CPUGeneratorImpl>(i);
    const auto direction = at::randn(parameters[i].sizes(), generator).to(parameters[i].device());
    const auto at_step = [&](double step) {
      parameters[i].add_(direction, step);
      const double value = tree_loss(model, trained, rows).item<double>();
      parameters[i].add_(direction, -step);
      return value;
    };
    const double step = 2e-3;
    const double numeric = (at_step(step) - at_step(-step)) / (2 * step);
    const double analytic = (grads[i] * direction).sum().item<double>();
    const double scale = grads[i].norm().item<double>() * direction.norm().item<double>();
    EXPECT_NEAR(numeric, analytic, 5e-3 * scale + 0.1) << trained.named_parameters()[i].name;
  }
}

TEST_P(FiniteDifferences, AreTheAdaptersGradients) {
  expect_finite_differences(Transformer::random(GetParam(), kFloat, 27),
                            random_adapter(GetParam(), {.rank = 4, .alpha = 8}, 28));
}

TEST_P(FiniteDifferences, AreTheWeightsGradients) {
  const Transformer model = Transformer::random(GetParam(), kFloat, 27);
  expect_finite_differences(model, FullWeights(model));
}

INSTANTIATE_TEST_SUITE_P(Parts, FiniteDifferences,
                         ::testing::Values(tiny_config(4, 2), with_all_parts(tiny_config(4, 2))));

TEST(Transformer, ANewAdapterChangesNothing) {
  const TransformerConfig config = tiny_config(6, 3);
  const Transformer model = Transformer::random(config, kFloat, 37);
  const LoraAdapter adapter(config, {}, 38);
  const TokenTree tree = build_token_tree(Rows{{1, 2, 3, 4, 5}});
  EXPECT_TRUE(at::equal(model.hidden(tree, &adapter), model.hidden(tree, nullptr)));
}

TEST(Transformer, TheSameInputGivesTheSameBits) {
  const TransformerConfig config = tiny_config(6, 3);
  const Transformer model = Transformer::random(config, {.device = testing::device()}, 47);
  const LoraAdapter adapter = random_adapter(config, {.rank = 4, .alpha = 8}, 48);
  Rng rng(49);
  const Rows rows = random_rows(rng, 20, 60, 101);
  const auto first = gradients(adapter, tree_loss(model, adapter, rows));
  for (int trial = 0; trial < 3; ++trial) {
    const auto again = gradients(adapter, tree_loss(model, adapter, rows));
    for (size_t i = 0; i < first.size(); ++i) ASSERT_TRUE(at::equal(first[i], again[i]));
  }
}

TEST(Transformer, ActivationsComputedAgainGiveTheSameBits) {
  for (const TransformerConfig& config : {tiny_config(6, 3), with_all_parts(tiny_config(6, 3))}) {
    for (const ComputeType compute : {ComputeType::kFloat32, ComputeType::kBfloat16}) {
      const auto of = [&](bool again) {
        const Transformer model = Transformer::random(
            config,
            {.compute = compute, .device = testing::device(), .recompute_activations = again}, 47);
        const LoraAdapter adapter = random_adapter(config, {.rank = 4, .alpha = 8}, 48);
        Rng rng(49);
        const Rows rows = random_rows(rng, 20, 60, 101);
        return gradients(adapter, tree_loss(model, adapter, rows));
      };
      const auto kept = of(false), again = of(true);
      for (size_t i = 0; i < kept.size(); ++i) ASSERT_TRUE(at::equal(kept[i], again[i]));
    }
  }
}

// bfloat16 keeps 8 bits of a number: the gradient stays within a few of its ulps.
class Bfloat16 : public ::testing::TestWithParam<TransformerConfig> {};

TEST_P(Bfloat16, GradientsAreNearThoseOfFloat32) {
  const TransformerConfig config = GetParam();
  const Transformer narrow = Transformer::random(config, {.device = testing::device()}, 57);
  const Transformer wide = Transformer::random(config, kFloat, 57);
  const LoraAdapter adapter = random_adapter(config, {.rank = 4, .alpha = 8}, 58);
  Rng rng(59);
  const Rows rows = random_rows(rng, 20, 60, 101);
  const auto a = gradients(adapter, tree_loss(narrow, adapter, rows));
  const auto b = gradients(adapter, tree_loss(wide, adapter, rows));
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].scalar_type(), at::kFloat);
    expect_close(a[i], b[i], 0.08 / kEpsilon, adapter.named_parameters()[i].name);
  }
}

INSTANTIATE_TEST_SUITE_P(Parts, Bfloat16,
                         ::testing::Values(tiny_config(6, 3), with_all_parts(tiny_config(6, 3))));

class Head : public ::testing::TestWithParam<double> {};

TEST_P(Head, EqualsLogSoftmaxInDoublePrecision) {
  const double temperature = GetParam();
  const TransformerConfig config = tiny_config(6, 3);
  const Transformer model = Transformer::random(config, kFloat, 67);
  auto generator = at::make_generator<at::CPUGeneratorImpl>(68);
  const at::Device device(testing::device());
  const auto hidden = at::randn({700, config.width}, generator).to(device).requires_grad_(true);
  const auto target = at::randint(config.vocabulary, {700}, generator, at::kLong);
  const auto weight_a = at::randn({700}, generator), weight_b = at::randn({700}, generator);

  const HeadOutput out = model.head(hidden, target, temperature);
  const auto exact_hidden = hidden.detach().to(at::kCPU, at::kDouble).requires_grad_(true);
  const auto head_vd = model.logits(at::eye(config.width).to(device)).t().to(at::kCPU, at::kDouble);
  const auto log_p = at::log_softmax(exact_hidden.mm(head_vd.t()) / temperature, 1);
  const auto exact_log_prob = log_p.gather(1, target.unsqueeze(1)).squeeze(1);
  const auto exact_entropy = -(log_p.exp() * log_p).sum(1);
  expect_close(out.log_prob_n, exact_log_prob, 16, "log probability");
  expect_close(out.entropy_n, exact_entropy, 16, "entropy");

  const auto expect_gradient = [&](const at::Tensor& loss, const at::Tensor& exact_loss,
                                   const char* what) {
    const auto grad = torch::autograd::grad({loss}, {hidden}, {}, true)[0];
    const auto exact = torch::autograd::grad({exact_loss}, {exact_hidden}, {}, true)[0];
    expect_close(grad, exact, 32, what);
  };
  const auto by_a = (out.log_prob_n.cpu() * weight_a).sum();
  const auto by_b = (out.entropy_n.cpu() * weight_b).sum();
  const auto exact_a = (exact_log_prob * weight_a).sum();
  const auto exact_b = (exact_entropy * weight_b).sum();
  expect_gradient(by_a, exact_a, "gradient of log p");
  expect_gradient(by_b, exact_b, "gradient of the entropy");
  expect_gradient(by_a + by_b, exact_a + exact_b, "gradient of both");
  const torch::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(model.head(hidden, target, temperature).log_prob_n, out.log_prob_n));
}

INSTANTIATE_TEST_SUITE_P(Temperatures, Head, ::testing::Values(0.5, 1.0, 1.7));

TEST(Transformer, PrefillKeepsTheHiddenStates) {
  const TransformerConfig config = tiny_config(6, 3);
  const Transformer model = Transformer::random(config, kFloat, 77);
  Rng rng(78);
  const TokenTree tree = build_token_tree(random_rows(rng, 8, 40, 101));
  const TreeCache cache = model.prefill(tree, nullptr);
  EXPECT_TRUE(at::equal(cache.hidden_nd, model.hidden(tree, nullptr)));
  ASSERT_EQ(cache.keys.size(), 2);
  EXPECT_EQ(cache.keys[0].sizes(), (std::vector<int64_t>{3, tree.tokens(), 8}));
}

}  // namespace
}  // namespace l2a
