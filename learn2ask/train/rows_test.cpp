#include "train/rows.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/error.h"
#include "train/testing.h"
#include "train/verify_tree.h"

namespace l2a {
namespace {

using testing::TinyChat;

// Groups of replies on growing prefixes of a transcript, as a session has them.
std::vector<TrainingRow> session_rows(Rng& rng, int64_t first_group, size_t turns, size_t replies) {
  std::vector<TrainingRow> rows;
  std::vector<int32_t> transcript;
  const auto token = [&] { return static_cast<int32_t>(rng.below(256)); };
  for (size_t t = 0; t < turns; ++t) {
    for (uint64_t n = 5 + rng.below(10); n > 0; --n) transcript.push_back(token());
    for (size_t g = 0; g < replies; ++g) {
      TrainingRow row{.ids = transcript,
                      .context = static_cast<int64_t>(transcript.size()),
                      .group = first_group + static_cast<int64_t>(t)};
      for (uint64_t n = 1 + rng.below(4); n > 0; --n) row.ids.push_back(token());
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

std::vector<TrainingRow> two_sessions(Rng& rng) {
  auto rows = session_rows(rng, 0, 4, 3);
  for (auto& row : session_rows(rng, 4, 3, 3)) rows.push_back(std::move(row));
  return rows;
}

int64_t trie_tokens(const std::vector<TrainingRow>& rows, const std::vector<size_t>& chosen) {
  std::set<std::vector<int32_t>> prefixes;
  for (const size_t r : chosen) {
    for (size_t n = 1; n <= rows[r].ids.size(); ++n) {
      prefixes.emplace(rows[r].ids.begin(), rows[r].ids.begin() + n);
    }
  }
  return static_cast<int64_t>(prefixes.size());
}

TEST(PlanTrees, HoldsEachRowOnceKeepsGroupsTogetherAndCountsTokens) {
  Rng rng(1);
  for (const int64_t budget : {1, 30, 50, 80, 120, 100000}) {
    const auto rows = two_sessions(rng);
    const TreePlan plan = plan_trees(rows, budget);
    std::vector<size_t> all;
    int64_t tokens = 0, before = std::numeric_limits<int64_t>::max();
    std::set<int64_t> groups;
    for (const auto& tree : plan.trees) {
      EXPECT_TRUE(std::is_sorted(tree.begin(), tree.end()));
      const int64_t mine = trie_tokens(rows, tree);
      EXPECT_LE(mine, before) << "the largest comes first";
      before = mine;
      const bool one_group = rows[tree.front()].group == rows[tree.back()].group;
      EXPECT_TRUE(mine <= budget || one_group) << mine << " of " << budget;
      EXPECT_TRUE(groups.insert(rows[tree.front()].group).second) << "a group was split";
      for (const size_t r : tree) groups.insert(rows[r].group);
      tokens += mine;
      all.insert(all.end(), tree.begin(), tree.end());
    }
    std::vector<size_t> in_order(rows.size());
    std::iota(in_order.begin(), in_order.end(), size_t{0});
    std::sort(all.begin(), all.end());
    EXPECT_EQ(all, in_order);
    EXPECT_EQ(plan.tokens, tokens);
    EXPECT_EQ(plan.recharged_tokens, tokens - trie_tokens(rows, in_order));
    EXPECT_TRUE(budget < 100000 || plan.trees.size() == 1);
    EXPECT_TRUE(budget > 1 || plan.trees.size() == 7);
  }
}

TEST(TargetLogProbs, EqualThoseOfEachRowAlone) {
  const TinyChat tiny;
  const auto adapter = testing::tiny_adapter(tiny);
  const at::NoGradGuard no_grad;
  Rng rng(2);
  const auto rows = two_sessions(rng);
  std::vector<size_t> all(rows.size());
  std::iota(all.begin(), all.end(), size_t{0});
  const auto tree = make_row_tree(rows, all);
  const auto together = target_log_probs(tiny.model, &adapter, tree, 0.8);
  int64_t at = 0;
  for (const TrainingRow& row : rows) {
    const std::vector<std::vector<int32_t>> alone = {row.ids};
    const auto logits_nv =
        tiny.model.logits(tiny.model.hidden(build_token_tree(alone), &adapter)) / 0.8;
    const auto log_p_nv = at::log_softmax(logits_nv.to(at::kDouble), 1);
    for (int64_t t = row.context; t < static_cast<int64_t>(row.ids.size()); ++t, ++at) {
      EXPECT_NEAR(together.log_prob_n[at].item<double>(),
                  log_p_nv[t - 1][row.ids[static_cast<size_t>(t)]].item<double>(), 2e-5);
    }
  }
  EXPECT_EQ(at, together.log_prob_n.numel());
}

TEST(SpreadToTargets, RepeatsARowsValueAtItsTargets) {
  const std::vector<TrainingRow> rows = {{.ids = {1, 2, 3}, .context = 1, .group = 0},
                                         {.ids = {1, 4}, .context = 1, .group = 0}};
  const auto tree = make_row_tree(rows, {1, 0});
  const std::vector<double> values = {0.5, 2};
  EXPECT_TRUE(
      spread_to_targets(tree, rows, values, at::kCPU).equal(torch::tensor({2.f, .5f, .5f})));
}

TEST(CompareTree, SharedAndUnsharedRowsAgree) {
  const TinyChat tiny;
  const auto adapter = testing::tiny_adapter(tiny);
  Rng rng(3);
  for (int trial = 0; trial < 5; ++trial) {
    const auto rows = two_sessions(rng);
    std::vector<double> weights;
    for (size_t r = 0; r < rows.size(); ++r) weights.push_back(2 * rng.uniform() - 1);
    const auto agreement = compare_tree(tiny.model, adapter, rows, weights);
    EXPECT_TRUE(agreement.agrees())
        << agreement.gradient_difference << " of " << agreement.gradient_limit;
    EXPECT_GT(agreement.gradient_difference, 0);  // the two were computed differently
  }
}

// Is asked for its parameters once a pass, and drifts from one to the next.
class DriftingAdapter : public LoraAdapter {
 public:
  DriftingAdapter(const LoraAdapter& adapter, double drift) : LoraAdapter(adapter), drift_(drift) {}
  std::vector<TrainedParameter> named_parameters() const override {
    auto parameters = LoraAdapter::named_parameters();
    const at::NoGradGuard no_grad;
    parameters[1].values.add_(drift_);
    ++passes;
    return parameters;
  }
  mutable int passes = 0;

 private:
  double drift_;
};

TEST(VerifyTree, RefusesADisagreement) {
  const TinyChat tiny;
  Rng rng(5);
  const auto rows = two_sessions(rng);
  const auto verify = [&](double drift) {
    const DriftingAdapter adapter(testing::tiny_adapter(tiny), drift);
    verify_tree(tiny.model, adapter, rows, 100000);
    EXPECT_EQ(adapter.passes, 1 + 8);
  };
  verify(0);
  EXPECT_THROW(verify(1e-3), Failure);
  verify(std::numeric_limits<double>::quiet_NaN());  // is the step's to say
}

TEST(VerifyTree, TakesNoMoreTokensThanATreeMayHave) {
  const TinyChat tiny;
  Rng rng(6);
  const DriftingAdapter adapter(testing::tiny_adapter(tiny), 0);
  verify_tree(tiny.model, adapter, two_sessions(rng), 1);
  EXPECT_EQ(adapter.passes, 1 + 2);  // one group
}

TEST(CompareTree, TheLimitIsFarBelowWhatAWrongTreeGives) {
  const TinyChat tiny;
  const auto adapter = testing::tiny_adapter(tiny);
  Rng rng(4);
  const auto rows = two_sessions(rng);
  const std::vector<double> weights(rows.size(), 1.0);
  // One token of a context changed is the least that a wrong ancestor could do.
  auto wrong = rows;
  wrong[0].ids[2] = (wrong[0].ids[2] + 1) % 256;
  const auto gradient = [&](const std::vector<TrainingRow>& of) {
    std::vector<size_t> all(of.size());
    std::iota(all.begin(), all.end(), size_t{0});
    const auto loss = target_log_probs(tiny.model, &adapter, make_row_tree(of, all), 1).log_prob_n;
    std::vector<at::Tensor> parts;
    for (const auto& g : torch::autograd::grad({loss.sum()}, adapter.parameters())) {
      parts.push_back(g.flatten());
    }
    return at::cat(parts);
  };
  const double difference = (gradient(rows) - gradient(wrong)).norm().item<double>();
  EXPECT_GT(difference, 10 * compare_tree(tiny.model, adapter, rows, weights).gradient_limit);
}

}  // namespace
}  // namespace l2a
