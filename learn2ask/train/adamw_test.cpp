#include "train/adamw.h"

#include <cmath>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/optim.h>
#include <torch/types.h>

#include "base/error.h"
#include "base/file.h"
#include "train/testing.h"

namespace l2a {
namespace {

std::vector<at::Tensor> random_parameters(uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  std::vector<at::Tensor> out;
  for (const int64_t n : {5, 17}) {
    out.push_back(at::randn({n, 3}, generator, at::kFloat).requires_grad_(true));
  }
  return out;
}

void set_gradients(const std::vector<at::Tensor>& parameters, uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  for (const auto& p : parameters) p.mutable_grad() = at::randn(p.sizes(), generator, at::kFloat);
}

TEST(AdamW, MatchesTheFormulaInDouble) {
  const OptimizerOptions options{.beta1 = 0.8, .beta2 = 0.99, .epsilon = 1e-6, .weight_decay = 0.1};
  const auto parameters = random_parameters(1);
  AdamW optimizer(parameters, options);
  std::vector<at::Tensor> p, m, v;
  for (const auto& x : parameters) {
    p.push_back(x.detach().to(at::kDouble).clone());
    m.push_back(at::zeros_like(p.back()));
    v.push_back(at::zeros_like(p.back()));
  }
  for (int step = 1; step <= 20; ++step) {
    const double lr = 0.01 * step;
    set_gradients(parameters, 100 + step);
    for (size_t i = 0; i < p.size(); ++i) {
      const auto g = parameters[i].grad().to(at::kDouble);
      m[i] = 0.8 * m[i] + 0.2 * g;
      v[i] = 0.99 * v[i] + 0.01 * g * g;
      const auto m_hat = m[i] / (1 - std::pow(0.8, step)),
                 v_hat = v[i] / (1 - std::pow(0.99, step));
      p[i] = p[i] - lr * 0.1 * p[i] - lr * m_hat / (v_hat.sqrt() + 1e-6);
    }
    optimizer.step(lr);
  }
  for (size_t i = 0; i < p.size(); ++i) {
    // A few roundings of values up to 4 in each of 20 steps.
    EXPECT_LT((parameters[i] - p[i]).abs().max().item<double>(), 20 * 4 * 1.2e-7 * 4);
  }
}

TEST(AdamW, MatchesTorchOptimAdamW) {
  const auto ours = random_parameters(2), theirs = random_parameters(2);
  AdamW optimizer(ours, {.weight_decay = 0.05});
  torch::optim::AdamW reference(theirs, torch::optim::AdamWOptions(0.003).weight_decay(0.05));
  for (int step = 0; step < 10; ++step) {
    set_gradients(ours, 7 + step);
    set_gradients(theirs, 7 + step);
    optimizer.step(0.003);
    reference.step();
  }
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_LT((ours[i] - theirs[i]).abs().max().item<double>(), 1e-6);
  }
}

TEST(AdamW, ParametersWithoutGradientStay) {
  const auto parameters = random_parameters(3);
  const auto before = parameters[1].detach().clone();
  AdamW optimizer(parameters, {.weight_decay = 0.5});
  set_gradients({parameters[0]}, 1);
  optimizer.step(0.1);
  EXPECT_TRUE(parameters[1].equal(before));
}

TEST(AdamW, SavedAndLoadedGoesOnBitExactly) {
  const testing::TemporaryDirectory directory;
  const auto first = random_parameters(4), second = random_parameters(4);
  AdamW one(first, {}), two(second, {});
  for (int step = 0; step < 3; ++step) {
    set_gradients(first, step);
    one.step(0.01);
  }
  one.save(directory.path / "optimizer.safetensors");
  two.load(directory.path / "optimizer.safetensors");
  EXPECT_EQ(two.steps(), 3);
  {
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < first.size(); ++i) second[i].copy_(first[i]);
  }
  set_gradients(first, 9);
  set_gradients(second, 9);
  one.step(0.01);
  two.step(0.01);
  for (size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(first[i].equal(second[i]));
  two.save(directory.path / "again.safetensors");
  one.save(directory.path / "optimizer.safetensors");
  EXPECT_EQ(read_file(directory.path / "again.safetensors"),
            read_file(directory.path / "optimizer.safetensors"));
}

TEST(AdamW, AveragesTheWeights) {
  const testing::TemporaryDirectory directory;
  const auto parameters = random_parameters(6);
  AdamW optimizer(parameters, {.average_decay = 0.4});
  std::vector<at::Tensor> average;
  for (const auto& p : parameters) average.push_back(p.detach().to(at::kDouble));
  const auto expect_average = [&](const std::vector<at::Tensor>& of) {
    for (size_t i = 0; i < of.size(); ++i) {
      EXPECT_LT((of[i] - average[i]).abs().max().item<double>(), 1e-6);
    }
  };
  for (int step = 1; step <= 12; ++step) {
    set_gradients(parameters, step);
    optimizer.step(0.05);
    const double decay = std::min(0.4, (1.0 + step) / (10.0 + step));
    for (size_t i = 0; i < average.size(); ++i) {
      average[i] = decay * average[i] + (1 - decay) * parameters[i].detach().to(at::kDouble);
    }
  }
  optimizer.save(directory.path / "optimizer.safetensors");
  const auto before = parameters[0].detach().clone();
  optimizer.swap_average();
  expect_average(parameters);
  EXPECT_FALSE(parameters[0].equal(before));
  optimizer.swap_average();
  EXPECT_TRUE(parameters[0].equal(before));

  const auto others = random_parameters(6);
  AdamW restored(others, {.average_decay = 0.4});
  restored.load(directory.path / "optimizer.safetensors");
  restored.swap_average();
  expect_average(others);
  AdamW without(others, {});
  EXPECT_THROW(without.load(directory.path / "optimizer.safetensors"), Failure);
}

TEST(AdamW, RefusesTheStateOfOtherParameters) {
  const testing::TemporaryDirectory directory;
  const auto path = directory.path / "optimizer.safetensors";
  AdamW(random_parameters(1), {}).save(path);
  AdamW other({at::zeros({2, 2}).requires_grad_(true)}, {});
  try {
    other.load(path);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error.message,
              "optimizer: " + path.string() + ": made with other parameters");
  }
}

TEST(GradientNorm, IsThatOfAllGradientsTogether) {
  const auto parameters = random_parameters(5);
  set_gradients(parameters, 1);
  double sum = 0;
  for (const auto& p : parameters) {
    const auto g = p.grad().flatten();
    for (int64_t i = 0; i < g.numel(); ++i) sum += std::pow(g[i].item<double>(), 2);
  }
  EXPECT_NEAR(gradient_norm(parameters), std::sqrt(sum), 1e-12);
  clip_gradients(parameters, std::sqrt(sum), 100);
  EXPECT_NEAR(gradient_norm(parameters), std::sqrt(sum), 1e-12);
  clip_gradients(parameters, std::sqrt(sum), 0.5);
  EXPECT_NEAR(gradient_norm(parameters), 0.5, 1e-6);
}

TEST(LearningRate, WarmsUpThenFollowsItsSchedule) {
  const OptimizerOptions constant{.lr = 2, .warmup_steps = 4, .schedule = "constant"};
  const OptimizerOptions linear{.lr = 2, .warmup_steps = 4, .schedule = "linear"};
  const OptimizerOptions cosine{.lr = 2, .warmup_steps = 4, .schedule = "cosine"};
  for (const auto* options : {&constant, &linear, &cosine}) {
    EXPECT_DOUBLE_EQ(learning_rate(*options, 0, 14), 0.5);
    EXPECT_DOUBLE_EQ(learning_rate(*options, 3, 14), 2);
    EXPECT_DOUBLE_EQ(learning_rate(*options, 4, 14), 2);
  }
  EXPECT_DOUBLE_EQ(learning_rate(constant, 13, 14), 2);
  EXPECT_DOUBLE_EQ(learning_rate(linear, 9, 14), 1);
  EXPECT_DOUBLE_EQ(learning_rate(cosine, 9, 14), 1);
  EXPECT_NEAR(learning_rate(linear, 14, 14), 0, 1e-15);
  EXPECT_NEAR(learning_rate(cosine, 14, 14), 0, 1e-15);
  EXPECT_DOUBLE_EQ(learning_rate({.lr = 1, .warmup_steps = 0, .schedule = "linear"}, 0, 1), 1);
}

}  // namespace
}  // namespace l2a
