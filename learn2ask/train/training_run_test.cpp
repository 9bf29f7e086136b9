// Killed and started again, a run gives the bytes of one that was not.
#include "train/training_run.h"

#include <algorithm>
#include <limits>
#include <set>

#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/file.h"
#include "train/dpo.h"
#include "train/grpo.h"
#include "train/meter.h"
#include "train/sft.h"
#include "train/testing.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;
using testing::reward_low_bytes;
using testing::TinyChat;

struct Killed {};

// Each line of a journal, without its `time`.
std::vector<std::string> lines_without_time(const fs::path& path) {
  std::vector<std::string> lines;
  for (Json line : testing::lines_of(path)) {
    line.erase("time");
    lines.push_back(dump_json(line));
  }
  return lines;
}

void expect_same_run(const fs::path& one, const fs::path& two, const std::string& last) {
  for (const char* file :
       {"adapter_model.safetensors", "adapter_config.json", "optimizer.safetensors"}) {
    EXPECT_EQ(read_file(one / "checkpoints" / last / file),
              read_file(two / "checkpoints" / last / file))
        << file;
  }
  for (const char* journal : {"metrics.jsonl", "rollouts.jsonl", "failures.jsonl"}) {
    EXPECT_EQ(lines_without_time(one / journal), lines_without_time(two / journal)) << journal;
  }
}

class ResumeTest : public ::testing::Test {
 protected:
  // Runs `train` to its end, and again in another directory with a kill after `kill_at` steps.
  void expect_resumes(const std::function<void(const TrainerSetup&, LoraAdapter&)>& train,
                      int64_t kill_at, const std::string& last) {
    const fs::path whole = directory.path / "whole", killed = directory.path / "killed";
    auto adapter = testing::tiny_adapter(tiny);
    train(testing::tiny_setup(tiny, whole), adapter);
    auto setup = testing::tiny_setup(tiny, killed);
    setup.events.step = [&](int64_t step, int64_t, const Json&) {
      if (step == kill_at) throw Killed();
    };
    auto first = testing::tiny_adapter(tiny), second = testing::tiny_adapter(tiny);
    EXPECT_THROW(train(setup, first), Killed);
    EXPECT_EQ(testing::lines_of(killed / "metrics.jsonl").size(), static_cast<size_t>(kill_at));
    setup.events = {};
    train(setup, second);
    expect_same_run(whole, killed, last);
    EXPECT_TRUE(testing::flat(adapter).equal(testing::flat(second)));
    train(setup, second);  // a finished run stays as it is
    expect_same_run(whole, killed, last);
  }
  const testing::TemporaryDirectory directory;
  const TinyChat tiny;
};

TEST_F(ResumeTest, SftGivesTheBytesOfAnUninterruptedRun) {
  const auto sessions = testing::labelled_sessions(5), held_out = testing::labelled_sessions(2, 9);
  for (const int64_t kill_at : {1, 5, 6}) {
    expect_resumes(
        [&](const TrainerSetup& setup, LoraAdapter& adapter) {
          train_sft(setup, sessions, held_out,
                    {.epochs = 3, .sessions_per_step = 2, .loop = {.checkpoint_every = 2}},
                    adapter);
        },
        kill_at, "step-9");
    fs::remove_all(directory.path / "whole");
    fs::remove_all(directory.path / "killed");
  }
}

TEST_F(ResumeTest, GrpoGivesTheBytesOfAnUninterruptedRun) {
  const auto sessions = testing::labelled_sessions(5);
  const auto train = [&](const TrainerSetup& setup, LoraAdapter& adapter) {
    GrpoOptions options{
        .steps = 6, .replies = {.sessions_per_step = 2, .group_size = 4, .max_reply_tokens = 5}};
    options.loss.kl_weight = 0.05;
    options.inner_epochs = options.minibatches = 2;
    options.optimizer.lr = 0.01;
    options.loop.checkpoint_every = 2;
    train_grpo(setup, sessions, {}, reward_low_bytes, options, adapter);
  };
  expect_resumes(train, 3, "step-6");
}

TEST_F(ResumeTest, AKillWhileRepliesAreGradedLosesNothing) {
  const auto sessions = testing::labelled_sessions(5);
  const auto train = [&](const fs::path& to, const RewardFn& reward) {
    GrpoOptions options{
        .steps = 5, .replies = {.sessions_per_step = 2, .group_size = 4, .max_reply_tokens = 5}};
    options.optimizer.lr = 0.01;
    options.loop.checkpoint_every = 2;
    auto adapter = testing::tiny_adapter(tiny);
    train_grpo(testing::tiny_setup(tiny, to), sessions, {}, reward, options, adapter);
  };
  const fs::path whole = directory.path / "whole", killed = directory.path / "killed";
  train(whole, reward_low_bytes);
  for (const int at : {1, 3, 4}) {
    int calls = 0;
    const auto kill = [&](std::span<const RewardRequest> requests) {
      if (++calls == at) throw Killed();
      return reward_low_bytes(requests);
    };
    EXPECT_THROW(train(killed, kill), Killed);
    train(killed, reward_low_bytes);
    expect_same_run(whole, killed, "step-5");
    fs::remove_all(killed);
  }
}

TEST_F(ResumeTest, PatienceEndsAtTheSameStep) {
  const auto sessions = testing::labelled_sessions(4, 1),
             held_out = testing::labelled_sessions(4, 2);  // gets worse after a while
  TrainResult result;
  const auto train = [&](const TrainerSetup& setup, LoraAdapter& adapter) {
    result = train_sft(setup, sessions, held_out,
                       {.epochs = 200,
                        .sessions_per_step = 4,
                        .optimizer = {.lr = 0.02, .schedule = "constant"},
                        .loop = {.evaluate_every = 5, .patience = 3}},
                       adapter);
    EXPECT_EQ(result.stopped_by, "patience");
  };
  auto adapter = testing::tiny_adapter(tiny);
  train(testing::tiny_setup(tiny, directory.path / "first"), adapter);
  expect_resumes(train, result.steps - 7, "step-" + std::to_string(result.steps));
}

TEST_F(ResumeTest, DpoGivesTheBytesOfAnUninterruptedRun) {
  const auto sessions = testing::labelled_sessions(5), held_out = testing::labelled_sessions(2, 9);
  const auto train = [&](const TrainerSetup& setup, LoraAdapter& adapter) {
    DpoOptions options{.steps = 6,
                       .replies = {.sessions_per_step = 2, .group_size = 4, .max_reply_tokens = 5}};
    options.optimizer.lr = 0.01;
    options.optimizer.average_decay = 0.9;
    options.loop.checkpoint_every = options.loop.evaluate_every = 2;
    train_dpo(setup, sessions, held_out, reward_low_bytes, options, adapter);
  };
  expect_resumes(train, 3, "step-6");
}

TEST(TrainingRun, ChecksTheFirstStepThatHasRows) {
  const testing::TemporaryDirectory directory;
  const TinyChat tiny;
  auto adapter = testing::tiny_adapter(tiny);
  for (const std::string which : {"first", "always", "never"}) {
    const auto setup = testing::tiny_setup(tiny, directory.path / which);
    AdamW optimizer(adapter.parameters(), {});
    TrainingRun run(setup, {.verify_tree = which}, {}, 3, adapter, optimizer);
    ASSERT_TRUE(run.goes_on());
    run.end_step(Json::object(), Json::object(), {});  // a step in which nothing was to be learned
    EXPECT_EQ(run.must_verify(), which != "never") << which;
    EXPECT_EQ(run.must_verify(), which == "always") << which;
  }
}

TEST(TrainingRun, NamesTheParameterWhoseGradientIsNotFinite) {
  const testing::TemporaryDirectory directory;
  const TinyChat tiny;
  auto adapter = testing::tiny_adapter(tiny);
  const auto setup = testing::tiny_setup(tiny, directory.path);
  AdamW optimizer(adapter.parameters(), {});
  TrainingRun run(setup, {}, {}, 3, adapter, optimizer);
  ASSERT_TRUE(run.goes_on());
  const auto before = testing::flat(adapter).clone();
  const auto [name, parameter] = adapter.named_parameters()[3];
  parameter.mutable_grad() = at::full_like(parameter, std::numeric_limits<float>::infinity());
  try {
    run.update(1);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_TRUE(failure.error.message.starts_with("train: step 1: gradient of " + name +
                                                  ": not finite: the run is stopped; "))
        << failure.error.message;
  }
  EXPECT_TRUE(testing::flat(adapter).equal(before));
  EXPECT_TRUE(fs::exists(directory.path / "evidence/step-1/gradients.safetensors"));
}

TEST(SessionsOfStep, VisitsEverySessionOnceAnEpochInAnotherOrder) {
  for (const size_t sessions : {1u, 7u, 8u, 30u}) {
    for (const int64_t per_step : {1, 4, 8, 40}) {
      const auto steps = static_cast<int64_t>((sessions + per_step - 1) / per_step);
      std::vector<std::vector<size_t>> epochs(3);
      for (int64_t step = 0; step < 3 * steps; ++step) {
        for (const size_t i : sessions_of_step(sessions, per_step, 5, step)) {
          epochs[static_cast<size_t>(step / steps)].push_back(i);
        }
      }
      for (const auto& epoch : epochs) {
        EXPECT_EQ(epoch.size(), sessions);
        EXPECT_EQ(std::set<size_t>(epoch.begin(), epoch.end()).size(), sessions);
      }
      EXPECT_TRUE(sessions < 30 || epochs[0] != epochs[1]);
    }
  }
}

TEST(PeakMemory, IsThatOfThisProcess) {
  const auto peak = peak_memory_mib();
  ASSERT_TRUE(peak);
  EXPECT_GT(*peak, 10);
  EXPECT_LT(*peak, 64 * 1024);
}

}  // namespace
}  // namespace l2a
