#include "rollout/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/error.h"
#include "base/rng.h"
#include "model/testing.h"

namespace l2a {
namespace {

std::vector<float> random_logits(Rng& rng, size_t n) {
  std::vector<float> logits;
  for (size_t i = 0; i < n; ++i) logits.push_back(static_cast<float>(6 * rng.uniform() - 3));
  return logits;
}

std::vector<double> softmax(const std::vector<float>& logits, double temperature) {
  std::vector<double> p;
  for (const float x : logits) p.push_back(std::exp(x / temperature));
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= sum;
  return p;
}

std::vector<SampledToken> sample_from(const std::vector<float>& logits,
                                      const DecodingOptions& options, std::vector<double> uniforms,
                                      const std::vector<int32_t>& history = {}) {
  const std::vector<TokenDraws> draws = {{std::move(uniforms), history}};
  return sample_tokens(torch::tensor(logits).unsqueeze(0), options, draws).at(0);
}

SampledToken sample_one(const std::vector<float>& logits, const DecodingOptions& options, double u,
                        const std::vector<int32_t>& history = {}) {
  return sample_from(logits, options, {u}, history).at(0);
}

// Smallest set of most probable tokens with at least `top_p`: by trying all sizes.
std::set<int32_t> nucleus(const std::vector<double>& p, double top_p) {
  std::vector<int32_t> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t x, int32_t y) { return p[x] > p[y]; });
  for (size_t n = 1; n <= p.size(); ++n) {
    double mass = 0;
    for (size_t i = 0; i < n; ++i) mass += p[order[i]];
    if (mass >= top_p) return {order.begin(), order.begin() + n};
  }
  return {order.begin(), order.end()};
}

TEST(TokenUniform, IsUniformAndDependsOnEachOfTheThree) {
  constexpr int kBins = 20, kDraws = 40000;
  std::vector<int> count(kBins);
  for (int i = 0; i < kDraws; ++i) {
    const double u = token_uniform(i % 3, i % 101, i / 303);
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    ++count[static_cast<size_t>(u * kBins)];
  }
  double chi2 = 0;
  for (const int c : count) chi2 += std::pow(c - kDraws / kBins, 2) / (kDraws / kBins);
  EXPECT_LT(chi2, 43.8);  // 99.9% of chi-square with 19 degrees of freedom
  EXPECT_NE(token_uniform(1, 2, 3), token_uniform(2, 2, 3));
  EXPECT_NE(token_uniform(1, 2, 3), token_uniform(1, 3, 3));
  EXPECT_NE(token_uniform(1, 2, 3), token_uniform(1, 2, 4));
}

TEST(SampleTokens, DrawsFromTheSoftmaxAtTheTemperature) {
  constexpr int kDraws = 50000;
  Rng rng(11);
  for (const double temperature : {0.5, 1.0, 1.7}) {
    const auto logits = random_logits(rng, 12);
    const auto p = softmax(logits, temperature);
    std::vector<double> uniforms;
    for (int i = 0; i < kDraws; ++i) uniforms.push_back(rng.uniform());
    const auto tokens = sample_from(logits, {.temperature = temperature}, uniforms);
    std::vector<double> count(p.size());
    for (const auto& token : tokens) ++count[static_cast<size_t>(token.id)];
    double chi2 = 0;
    for (size_t i = 0; i < p.size(); ++i) {
      chi2 += std::pow(count[i] - kDraws * p[i], 2) / (kDraws * p[i]);
    }
    EXPECT_LT(chi2, 31.3) << temperature;  // 99.9% with 11 degrees of freedom
  }
}

TEST(SampleTokens, LogProbIsThatOfTheDistributionSampledFromBeforeTopP) {
  Rng rng(12);
  for (int trial = 0; trial < 200; ++trial) {
    const auto logits = random_logits(rng, 30);
    const double temperature = 0.3 + rng.uniform(), top_p = trial % 2 == 0 ? 1 : 0.7;
    const auto token =
        sample_one(logits, {.temperature = temperature, .top_p = top_p}, rng.uniform());
    const double expected = std::log(softmax(logits, temperature)[static_cast<size_t>(token.id)]);
    // One rounding of logit / temperature (at most 10), and of the float32 softmax.
    EXPECT_NEAR(token.log_prob, expected,
                32 * std::numeric_limits<float>::epsilon() * (1 + std::abs(expected)));
  }
}

TEST(SampleTokens, TopPTakesExactlyTheNucleus) {
  Rng rng(13);
  for (const double top_p : {0.05, 0.3, 0.5, 0.8, 0.95, 0.999}) {
    const auto logits = random_logits(rng, 25);
    std::set<int32_t> seen;
    for (int i = 0; i < 4000; ++i) {
      seen.insert(sample_one(logits, {.temperature = 1, .top_p = top_p}, i / 4000.0).id);
    }
    EXPECT_EQ(seen, nucleus(softmax(logits, 1), top_p)) << top_p;
  }
}

TEST(SampleTokens, RepetitionPenaltyDividesPositiveAndMultipliesNegativeLogitsOnce) {
  const std::vector<float> logits = {2.0f, -1.0f, 0.5f, 1.9f};
  // 0 and 1 were said, 0 twice: they become 2/1.3 and -1.3.
  const std::vector<float> expected = {2.0f / 1.3f, -1.3f, 0.5f, 1.9f};
  const DecodingOptions greedy{.temperature = 0, .repetition_penalty = 1.3};
  const auto token = sample_one(logits, greedy, 0, {0, 1, 0});
  EXPECT_EQ(token.id, 3);
  EXPECT_NEAR(token.log_prob, std::log(softmax(expected, 1)[3]), 1e-6);
  const auto last =
      sample_one(logits, {.temperature = 0.7, .repetition_penalty = 1.3}, 0, {0, 1, 0});
  EXPECT_EQ(last.id, 0);
  EXPECT_NEAR(last.log_prob, std::log(softmax(expected, 0.7)[0]), 1e-6);
}

TEST(SampleTokens, GreedyTakesTheFirstOfTheHighest) {
  const auto token = sample_one({1, 3, 3, 2}, {.temperature = 0}, 0.99);
  EXPECT_EQ(token.id, 1);
  EXPECT_NEAR(token.log_prob, std::log(softmax({1, 3, 3, 2}, 1)[1]), 1e-6);
}

TEST(SampleTokens, NeverDrawsATokenWithoutProbability) {
  const float never = -std::numeric_limits<float>::infinity();
  for (const double u : {0.0, 0.5, 1 - 0x1.0p-53}) {
    EXPECT_EQ(sample_one({never, 1, never}, {.temperature = 1}, u).id, 1);
    const auto logits = torch::tensor({never, 1.0f, never}).unsqueeze(0);
    const std::vector<TokenDraws> draws{{{u}, {}}};
    EXPECT_EQ(composed_sample_tokens(logits, {.temperature = 1}, draws)[0][0].id, 1);
    EXPECT_EQ(sample_one({never, 1, never}, {.temperature = 1, .top_p = 0.9}, u).id, 1);
  }
}

TEST(SampleTokens, ADrawDependsOnItsOwnRowAndNumberOnly) {
  Rng rng(14);
  for (const double top_p : {1.0, 0.8}) {
    const DecodingOptions options{.temperature = 0.9, .top_p = top_p, .repetition_penalty = 1.2};
    std::vector<std::vector<float>> logits;
    std::vector<std::vector<int32_t>> histories;
    std::vector<TokenDraws> draws;
    for (size_t r = 0; r < 9; ++r) {
      logits.push_back(random_logits(rng, 40));
      histories.push_back({static_cast<int32_t>(rng.below(40)), static_cast<int32_t>(r)});
    }
    std::vector<at::Tensor> rows;
    for (size_t r = 0; r < 9; ++r) {
      rows.push_back(torch::tensor(logits[r]));
      draws.push_back({{}, histories[r]});
      for (size_t i = 0; i < r; ++i) draws.back().uniforms.push_back(rng.uniform());
    }
    const auto tokens = sample_tokens(at::stack(rows), options, draws);
    ASSERT_EQ(tokens.size(), 9u);
    for (size_t r = 0; r < 9; ++r) {
      ASSERT_EQ(tokens[r].size(), r);
      for (size_t i = 0; i < r; ++i) {
        const auto alone = sample_one(logits[r], options, draws[r].uniforms[i], histories[r]);
        EXPECT_EQ(tokens[r][i].id, alone.id);
        EXPECT_EQ(tokens[r][i].log_prob, alone.log_prob);
      }
    }
  }
}

// Fixed seeds: none of the draws falls on the border of two tokens, where sums in float32 decide.
TEST(SampleTokens, TorchsOperatorsDrawTheSame) {
  Rng rng(15);
  at::manual_seed(15);
  for (const int64_t vocabulary : {5, 256, 1000}) {
    for (const double temperature : {0.0, 0.6, 1.0, 1.5}) {
      const DecodingOptions options{.temperature = temperature};
      const auto logits = (3 * at::randn({7, vocabulary})).to(at::kBFloat16);
      std::vector<TokenDraws> draws(7);
      for (size_t r = 0; r < draws.size(); ++r) {
        draws[r].uniforms = {0.0};
        for (size_t i = 0; i < 20 * r; ++i) draws[r].uniforms.push_back(rng.uniform());
      }
      const auto expected = sample_tokens(logits, options, draws);
      const auto got = composed_sample_tokens(logits.to(testing::device()), options, draws);
      ASSERT_EQ(got.size(), expected.size());
      for (size_t r = 0; r < expected.size(); ++r) {
        ASSERT_EQ(got[r].size(), expected[r].size());
        for (size_t i = 0; i < expected[r].size(); ++i) {
          EXPECT_EQ(got[r][i].id, expected[r][i].id);
          EXPECT_NEAR(got[r][i].log_prob, expected[r][i].log_prob, 1e-5);
        }
      }
    }
  }
}

TEST(SampleTokens, RefusesLogitsThatAreNotFinite) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const double temperature : {0.0, 1.0}) {
    for (const auto& logits :
         {std::vector<float>{1, std::nanf(""), 0}, {1, kInf}, {-kInf, -kInf}}) {
      for (const auto& sample : {sample_tokens, composed_sample_tokens}) {
        try {
          sample(torch::tensor(logits).unsqueeze(0), {.temperature = temperature},
                 std::vector<TokenDraws>{{{0.5}, {}}});
          FAIL();
        } catch (const Failure& failure) {
          EXPECT_EQ(failure.error.message,
                    "sampling: logits: not finite (the weights or the adapter are broken)");
        }
      }
    }
  }
}

}  // namespace
}  // namespace l2a
