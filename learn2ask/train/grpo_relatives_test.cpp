// What makes other algorithms of GRPO: they learn, and each of their parts does what it says.

#include <cmath>
#include <map>
#include <string>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/error.h"
#include "train/grpo_testing.h"
#include "train/policy_rows.h"

namespace l2a {
namespace {

using testing::lines_of;
using testing::reward_low_bytes;

using GrpoRelatives = testing::GrpoTest;

using Change = void (*)(GrpoOptions&);

// Those of docs/algorithms.md, to the scale of the test.
const std::map<std::string, Change> kAlgorithms = {
    {"reinforce", [](GrpoOptions& o) { o.advantage = "mean", o.loss.objective = "reinforce"; }},
    {"rloo",
     [](GrpoOptions& o) {
       o.advantage = "leave_one_out", o.loss.objective = "reinforce";
       o.loss.normalise = "constant", o.loss.kl_weight = 0.01;
       o.loss.kl = "k1", o.loss.kl_in = "reward";
     }},
    {"rejection sampling",
     [](GrpoOptions& o) { o.advantage = "best", o.loss.objective = "reinforce"; }},
    {"dr_grpo", [](GrpoOptions& o) { o.advantage = "mean", o.loss.normalise = "constant"; }},
    {"dapo",
     [](GrpoOptions& o) {
       o.loss.clip_high = 0.28, o.loss.normalise = "token";
       o.replies.dynamic_rounds = 2, o.overlong_buffer = 2, o.minibatches = 2;
     }},
    {"gspo",
     [](GrpoOptions& o) {
       o.loss.objective = "gspo", o.loss.clip = 3e-4, o.loss.clip_high = 4e-4, o.minibatches = 2;
     }},
    {"cispo",
     [](GrpoOptions& o) {
       o.loss.objective = "cispo", o.loss.clip = 1, o.loss.clip_high = 0.28;
       o.loss.normalise = "token", o.minibatches = 2;
     }},
    {"reinforce++ baseline",
     [](GrpoOptions& o) { o.advantage = "batch", o.loss.kl_weight = 0.01, o.loss.kl = "k2"; }},
    {"gdpo", [](GrpoOptions& o) { o.advantage = "parts"; }},
    {"credit by parts", [](GrpoOptions& o) { o.advantage = "mean", o.credit = "parts"; }},
    {"entropy bonus", [](GrpoOptions& o) { o.loss.entropy_weight = 1e-3; }},
    {"several epochs", [](GrpoOptions& o) { o.inner_epochs = 2; }},
};

// Low bytes, of which the first one counts as the stop decision.
std::vector<RewardResult> reward_parts(std::span<const RewardRequest> requests) {
  auto results = reward_low_bytes(requests);
  for (size_t i = 0; i < requests.size(); ++i) {
    const std::string& text = requests[i].reply.text;
    results[i].macro = !text.empty() && static_cast<unsigned char>(text[0]) < '@' ? 1 : 0;
    results[i].micro = *results[i].reward;
    results[i].reward = *results[i].reward + results[i].macro;
  }
  return results;
}

TEST_F(GrpoRelatives, AllLearn) {
  for (const auto& [name, change] : kAlgorithms) {
    setup.directory = directory.path / name;
    auto adapter = testing::tiny_adapter(tiny, 1);
    GrpoOptions options = small_options();
    options.steps = 50;
    options.replies.group_size = 8;
    options.optimizer.lr = 0.03;
    change(options);
    train_grpo(setup, testing::labelled_sessions(4), {}, reward_parts, options, adapter);
    const double first = mean_reward_of_five(0), last = mean_reward_of_five(45);
    EXPECT_GT(last, 1.5 * first) << name << ": " << first;
  }
}

TEST_F(GrpoRelatives, MaskedRepliesAreNeitherComparedNorLearnedFrom) {
  const auto adapter = testing::tiny_adapter(tiny);
  const auto sessions = testing::labelled_sessions(2);  // the groups point into them
  GrpoOptions options = small_options();
  auto groups = graded_groups(setup, sessions, adapter, options);
  for (auto& group : groups) {
    for (auto& reply : group.replies) reply.truncated = false;
  }
  groups[0].replies[1].truncated = true;
  groups[0].results[1].reward = 1000;
  auto unscored = groups;
  unscored[0].results[1].reward.reset();
  set_advantages(unscored, options);
  options.replies.mask_truncated = true;
  set_advantages(groups, options);
  EXPECT_EQ(groups[0].advantages, unscored[0].advantages);
  EXPECT_EQ(groups[0].advantages[1], 0);
  const auto masked = policy_rows(groups, setup, options),
             expected = policy_rows(unscored, setup, options);
  EXPECT_EQ(masked.advantages, expected.advantages);
  EXPECT_EQ(masked.token_weights, expected.token_weights);
}

TEST_F(GrpoRelatives, CreditByPartsGivesTheFirstTokenTheStopDecision) {
  const auto adapter = testing::tiny_adapter(tiny);
  const auto sessions = testing::labelled_sessions(1);
  GrpoOptions options = small_options();
  auto groups = graded_groups(setup, sessions, adapter, options);
  groups.resize(1);
  const std::vector<double> macro = {1, 1, 0, 0}, micro = {1, 0, 0, 0}, format = {1, 0, 0, 0};
  for (size_t g = 0; g < 4; ++g) {
    groups[0].results[g] = {.reward = macro[g] * (1 + 2 * micro[g]) + format[g],
                            .macro = macro[g],
                            .micro = micro[g],
                            .format = format[g]};
  }
  options.advantage = "mean";
  options.credit = "parts";
  set_advantages(groups, options);
  EXPECT_EQ(groups[0].first_advantages, (std::vector<double>{0.5, 0.5, -0.5, -0.5}));
  EXPECT_EQ(groups[0].advantages, (std::vector<double>{2.25, -0.75, -0.75, -0.75}));

  options.credit = "reply";
  set_advantages(groups, options);
  EXPECT_EQ(groups[0].advantages, (std::vector<double>{2.75, -0.25, -1.25, -1.25}));
  EXPECT_EQ(groups[0].first_advantages, groups[0].advantages);
}

TEST_F(GrpoRelatives, EachPartOfTheRewardHasItsOwnWeight) {
  const auto adapter = testing::tiny_adapter(tiny);
  const auto sessions = testing::labelled_sessions(1);
  GrpoOptions options = small_options();
  options.advantage = "parts";
  auto groups = graded_groups(setup, sessions, adapter, options);
  groups.resize(1);
  for (size_t g = 0; g < 4; ++g) {  // each part tells another reply from the rest
    groups[0].results[g] = {.reward = static_cast<double>(g),
                            .macro = g == 0 ? 1.0 : 0.0,
                            .micro = g == 1 ? 1.0 : 0.0,
                            .format = g == 2 ? 1.0 : 0.0};
  }
  const RewardPartWeights alone[] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
  for (size_t part = 0; part < 3; ++part) {
    options.parts = alone[part];
    set_advantages(groups, options);
    for (size_t g = 0; g < 4; ++g) {
      EXPECT_EQ(groups[0].advantages[g] > 0, g == part) << "part " << part << ", reply " << g;
    }
  }
}

// Replies to every other session all earn the same.
std::vector<RewardResult> reward_some_sessions(std::span<const RewardRequest> requests) {
  auto results = reward_low_bytes(requests);
  for (size_t i = 0; i < requests.size(); ++i) {
    results[i].reward =
        std::stoi(requests[i].session->id) % 2 ? 1 : 4.0 * static_cast<double>(i % 3);
  }
  return results;
}

TEST_F(GrpoRelatives, DynamicSamplingGoesOnUntilABatchOfGroupsHasVariance) {
  GrpoOptions options = small_options();
  options.steps = 4;
  const auto run = [&](int64_t rounds) {
    setup.directory = directory.path / std::to_string(rounds);
    options.replies.dynamic_rounds = rounds;
    auto adapter = testing::tiny_adapter(tiny);
    train_grpo(setup, testing::labelled_sessions(12), {}, reward_some_sessions, options, adapter);
    return lines_of(setup.directory / "metrics.jsonl");
  };
  const auto varied = [](const Json& step) {
    return step["groups"].get<double>() * (1 - step["zero_variance_groups"].get<double>());
  };
  const auto once = run(0), often = run(5), seldom = run(1);
  bool fell_short = false;
  for (size_t i = 0; i < 4; ++i) {
    const auto wanted = once[i]["groups"].get<double>();
    fell_short |= varied(once[i]) < wanted - 0.5;
    EXPECT_GT(varied(often[i]), wanted - 0.5) << "step " << i;
    EXPECT_LE(seldom[i]["groups"].get<double>(), wanted + 8) << "two sessions more";
  }
  EXPECT_TRUE(fell_short);
}

TEST_F(GrpoRelatives, DynamicSamplingTakesNoSessionMoreWhereNoneIsMissing) {
  const auto each_differs = [](std::span<const RewardRequest> requests) {
    std::vector<RewardResult> results(requests.size());
    for (size_t i = 0; i < results.size(); ++i) results[i].reward = static_cast<double>(i);
    return results;
  };
  const auto run = [&](int64_t rounds) {
    setup.directory = directory.path / std::to_string(rounds);
    GrpoOptions options = small_options();
    options.replies.dynamic_rounds = rounds;
    auto adapter = testing::tiny_adapter(tiny);  // three sessions by two: one is left for step 2
    train_grpo(setup, testing::labelled_sessions(3), {}, each_differs, options, adapter);
    return lines_of(setup.directory / "metrics.jsonl");
  };
  const auto once = run(0), often = run(5);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(once[i]["groups"], often[i]["groups"]) << i;
}

// Replies that earn the same are left out, also where one is taken to be too long.
TEST_F(GrpoRelatives, DynamicSamplingGoesByWhatWasEarned) {
  GrpoOptions options = small_options();
  options.replies.dynamic_rounds = 1;
  options.overlong_buffer = 4;
  const auto all_wrong = [](std::span<const RewardRequest> requests) {
    return std::vector<RewardResult>(requests.size(), {.reward = 0});
  };
  auto adapter = testing::tiny_adapter(tiny);
  const auto before = testing::flat(adapter).clone();
  train_grpo(setup, testing::labelled_sessions(4), {}, all_wrong, options, adapter);
  EXPECT_TRUE(testing::flat(adapter).equal(before));
  bool shaped = false;
  for (const Json& reply : lines_of(directory.path / "rollouts.jsonl")) {
    shaped |= reply.contains("shaping");
  }
  EXPECT_TRUE(shaped);
}

TEST_F(GrpoRelatives, DynamicSamplingAsksAGraderThatIsDownNoFurther) {
  GrpoOptions options = small_options();
  options.replies.dynamic_rounds = 5;
  auto adapter = testing::tiny_adapter(tiny);
  size_t calls = 0;
  const auto down = [&](std::span<const RewardRequest> requests) {
    ++calls;
    std::vector<RewardResult> results(requests.size(), {.reward = std::nullopt, .note = "down"});
    results.front() = {.reward = 0, .by_rule = true};  // which no grader gave
    return results;
  };
  EXPECT_THROW(train_grpo(setup, testing::labelled_sessions(12), {}, down, options, adapter),
               Failure);
  EXPECT_EQ(calls, 1u);
}

TEST_F(GrpoRelatives, OldLogProbabilitiesMayBeTheSamplers) {
  const auto sessions = testing::labelled_sessions(3);
  const auto groups = graded_groups(setup, sessions, testing::tiny_adapter(tiny), small_options());
  const auto step = [&](const std::string& of, const std::vector<ReplyGroup>& learned) {
    auto adapter = testing::tiny_adapter(tiny);
    GrpoOptions options = small_options();
    options.old_log_probs = of;
    options.minibatches = 2;
    setup.directory = directory.path / (of + std::to_string(learned[0].replies[0].log_probs[0]));
    update_once(setup, learned, options, adapter);
    return testing::flat(adapter);
  };
  // In float32 they differ by rounding; what the sampler says counts only where it is asked for.
  const auto exact = step("trainer", groups);
  EXPECT_LT((step("sampler", groups) - exact).abs().max().item<double>(), 1e-3);
  auto shifted = groups;
  for (auto& group : shifted) {
    for (auto& reply : group.replies) {
      for (float& x : reply.log_probs) x -= 0.1F;
    }
  }
  EXPECT_TRUE(step("trainer", shifted).equal(exact));
  EXPECT_FALSE(step("sampler", shifted).equal(exact));
}

// Beside the policy's loss, mean log p of the expert's replies, each computed by itself.
TEST_F(GrpoRelatives, ImitationOfTheExpertIsAddedByWeight) {
  const auto sessions = testing::labelled_sessions(3);
  GrpoOptions options = small_options();
  options.replies.max_reply_tokens = 12;
  options.optimizer.epsilon = 1;  // large: the step is then nearly the gradient itself
  options.optimizer.max_grad_norm = 1e6;
  const auto groups = graded_groups(setup, sessions, testing::tiny_adapter(tiny), options);
  const auto step = [&](double sft_weight) {
    auto adapter = testing::tiny_adapter(tiny);
    const auto before = testing::flat(adapter).to(at::kDouble);
    options.sft_weight = sft_weight;
    setup.directory = directory.path / std::to_string(sft_weight);
    const Json metrics = update_once(setup, groups, options, adapter);
    return std::pair(testing::flat(adapter).to(at::kDouble) - before, metrics);
  };
  // Of a step: lr g / (|g| + 1).
  const auto gradient = [](const at::Tensor& change) {
    const auto x = -change / 0.01;
    return x / (1 - x.abs());
  };
  const auto adapter = testing::tiny_adapter(tiny);
  auto sum = at::zeros({});
  double tokens = 0;
  for (const ReplyGroup& group : groups) {
    const auto expert = expert_reply(*group.session, *group.sample, setup, {});
    ASSERT_TRUE(expert);
    if (expert->ids.size() > 12) continue;
    const TrainingRow row = training_row(group, expert->ids, 0);
    sum = sum -
          target_log_probs(tiny.model, &adapter, make_row_tree({&row, 1}, {0}), 1).log_prob_n.sum();
    tokens += static_cast<double>(row.targets());
  }
  const auto imitation = sum / tokens;
  std::vector<at::Tensor> parts;
  for (const auto& g : torch::autograd::grad({imitation}, adapter.parameters())) {
    parts.push_back(g.flatten().to(at::kDouble));
  }
  const auto [without, alone] = step(0);
  const auto [with, both] = step(0.4);
  EXPECT_FALSE(alone.contains("imitation"));
  EXPECT_NEAR(both["imitation"].get<double>(), 0.4 * imitation.item<double>(), 1e-5);
  EXPECT_NEAR(both["loss"].get<double>(),
              alone["loss"].get<double>() + 0.4 * imitation.item<double>(), 1e-5);
  EXPECT_EQ(both["entropy"], alone["entropy"]) << "of sampled replies only";
  const auto added = gradient(with) - gradient(without), expected = 0.4 * at::cat(parts);
  EXPECT_GT(expected.abs().max().item<double>(), 1e-2);
  EXPECT_LT((added - expected).abs().max().item<double>(), 2e-5);
}

TEST_F(GrpoRelatives, ImitatesTheExpertWhereNoReplyTeachesAnything) {
  for (const char* objective : {"clip", "gspo", "cispo"}) {
    auto adapter = testing::tiny_adapter(tiny);
    setup.directory = directory.path / objective;
    GrpoOptions options = small_options();
    options.loss.objective = objective;
    options.replies.max_reply_tokens = 12;
    options.sft_weight = 1;
    options.steps = 30;
    options.optimizer.lr = 0.03;
    const auto same = [](std::span<const RewardRequest> requests) {
      return std::vector<RewardResult>(requests.size(), {.reward = 1});
    };
    train_grpo(setup, testing::labelled_sessions(4), {}, same, options, adapter);
    const auto metrics = lines_of(setup.directory / "metrics.jsonl");
    EXPECT_TRUE(metrics[0]["entropy"].is_null());
    EXPECT_EQ(metrics[0]["zero_variance_groups"], 1);
    EXPECT_LT(metrics.back()["imitation"].get<double>(),
              0.7 * metrics[0]["imitation"].get<double>());
  }
}

TEST_F(GrpoRelatives, RewardsAreTakenApartInOneWay) {
  auto adapter = testing::tiny_adapter(tiny);
  GrpoOptions options = small_options();
  options.credit = options.advantage = "parts";
  EXPECT_THROW(
      train_grpo(setup, testing::labelled_sessions(4), {}, reward_low_bytes, options, adapter),
      Failure);
}

TEST_F(GrpoRelatives, CreditByPartsIsForPlainReplies) {
  auto adapter = testing::tiny_adapter(tiny);
  setup.format = ReplyFormat::kTuple;
  GrpoOptions options = small_options();
  options.credit = "parts";
  EXPECT_THROW(
      train_grpo(setup, testing::labelled_sessions(4), {}, reward_low_bytes, options, adapter),
      Failure);
}

TEST_F(GrpoRelatives, ReinforceTakesOneUpdateAStep) {
  auto adapter = testing::tiny_adapter(tiny);
  GrpoOptions options = small_options();
  options.loss.objective = "reinforce";
  options.inner_epochs = 2;
  EXPECT_THROW(
      train_grpo(setup, testing::labelled_sessions(4), {}, reward_low_bytes, options, adapter),
      Failure);
  EXPECT_FALSE(std::filesystem::exists(directory.path / "metrics.jsonl"));
}

// What is thrown away after it was sampled must not widen what advantages are divided by.
TEST_F(GrpoRelatives, AdvantagesOfABatchAreThoseOfTheGroupsThatAreKept) {
  const auto adapter = testing::tiny_adapter(tiny);
  const auto sessions = testing::labelled_sessions(2);
  for (const char* advantage : {"batch", "parts"}) {
    GrpoOptions options = small_options();
    options.advantage = advantage;
    options.replies.dynamic_rounds = 1;
    auto groups = graded_groups(setup, sessions, adapter, options);
    ASSERT_GE(groups.size(), 4u);
    for (size_t i = 0; i < groups.size(); ++i) {
      for (size_t g = 0; g < 4; ++g) {
        const double reward = i < 2 ? static_cast<double>(g + i) : 1;
        groups[i].results[g] = {.reward = reward, .macro = reward, .micro = 2 * reward};
        groups[i].shaping = {0, 0.1, 0.2, 0.3};  // makes all of them differ
      }
    }
    std::vector<ReplyGroup> kept(groups.begin(), groups.begin() + 2);
    set_advantages(groups, options);
    set_advantages(kept, options);
    for (size_t i = 0; i < 2; ++i) EXPECT_EQ(groups[i].advantages, kept[i].advantages) << advantage;
    for (size_t i = 2; i < groups.size(); ++i) EXPECT_TRUE(groups[i].zero_variance) << advantage;
  }
}

}  // namespace
}  // namespace l2a
