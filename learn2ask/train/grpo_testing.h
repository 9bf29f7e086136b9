// A small policy that tests train by GRPO and its relatives.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/json.h"
#include "train/grpo.h"
#include "train/grpo_update.h"
#include "train/reply_advantages.h"
#include "train/step_groups.h"
#include "train/testing.h"

namespace l2a::testing {

class GrpoTest : public ::testing::Test {
 protected:
  static GrpoOptions small_options() {
    GrpoOptions options{
        .steps = 2, .replies = {.sessions_per_step = 2, .group_size = 4, .max_reply_tokens = 5}};
    options.optimizer = {.lr = 0.01, .warmup_steps = 0, .schedule = "constant"};
    return options;
  }

  // The groups of one step, sampled and graded.
  static std::vector<ReplyGroup> graded_groups(const TrainerSetup& setup,
                                               const std::vector<LabelledSession>& sessions,
                                               const LoraAdapter& adapter,
                                               const GrpoOptions& options) {
    SessionPointers pointers;
    for (const auto& s : sessions) pointers.push_back(&s);
    auto groups = make_groups(pointers, setup, {});
    sample_groups(groups, setup, adapter,
                  {.temperature = options.replies.temperature,
                   .max_reply_tokens = options.replies.max_reply_tokens,
                   .replies = options.replies.group_size},
                  64);
    grade_groups(groups, reward_low_bytes);
    set_advantages(groups, options);
    return groups;
  }

  // What a step's updates of the adapter say.
  static Json update_once(const TrainerSetup& setup, const std::vector<ReplyGroup>& groups,
                          const GrpoOptions& options, LoraAdapter& adapter) {
    AdamW optimizer(adapter.parameters(), options.optimizer);
    TrainingRun run(setup, options.loop, options.optimizer, 1, adapter, optimizer);
    EXPECT_TRUE(run.goes_on());
    return update_policy(groups, setup, nullptr, options, adapter, run);
  }

  // Of the run's steps `from` and the four after it.
  double mean_reward_of_five(size_t from) const {
    const auto metrics = lines_of(setup.directory / "metrics.jsonl");
    double sum = 0;
    for (size_t i = from; i < from + 5; ++i) sum += metrics.at(i)["reward"].get<double>();
    return sum / 5;
  }

  const TemporaryDirectory directory;
  const TinyChat tiny;
  TrainerSetup setup = tiny_setup(tiny, directory.path);
};

}  // namespace l2a::testing
