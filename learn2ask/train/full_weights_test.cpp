// Training all weights: the trainers are the same, what they train is not.

#include "model/full_weights.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/file.h"
#include "train/dpo.h"
#include "train/grpo.h"
#include "train/sft.h"
#include "train/testing.h"

namespace l2a {
namespace {

using testing::lines_of;
using testing::TinyChat;

// Of a trainer that learns from graded replies.
template <class Options>
Options small_options(int64_t steps) {
  Options options;
  options.steps = steps;
  options.replies.sessions_per_step = 4;
  options.replies.max_reply_tokens = 6;
  options.optimizer.lr = 1e-3;
  options.loop.checkpoint_every = 2;
  return options;
}

class FullTrainingTest : public ::testing::Test {
 protected:
  // Trains in a directory of that name, `steps` steps in all; twice where `interrupted`.
  template <class Train>
  std::vector<at::Tensor> weights_after(const std::string& name, const Train& train,
                                        bool interrupted) {
    std::vector<at::Tensor> last;
    for (const bool first : {true, false}) {
      if (first && !interrupted) continue;
      TrainerSetup setup = testing::tiny_setup(tiny, directory.path / name);
      FullWeights weights(tiny.model);  // a process that starts anew has the start's
      if (first) {
        setup.events.step = [](int64_t step, int64_t, const Json&) {
          if (step == 3) throw std::runtime_error("killed");
        };
        EXPECT_THROW(train(setup, weights), std::runtime_error);
      } else {
        train(setup, weights);
        last = weights.parameters();
      }
    }
    return last;
  }

  template <class Train>
  void expect_exact_resume(const Train& train) {
    const auto once = weights_after("once", train, false);
    const auto resumed = weights_after("resumed", train, true);
    size_t moved = 0;
    const FullWeights start(tiny.model);
    for (size_t i = 0; i < once.size(); ++i) {
      EXPECT_TRUE(at::equal(once[i], resumed[i])) << start.named_parameters()[i].name;
      moved += !at::equal(once[i], start.parameters()[i]);
    }
    EXPECT_EQ(moved, once.size());  // norms and the embedding too
  }

  const testing::TemporaryDirectory directory;
  const TinyChat tiny;
  const std::vector<LabelledSession> sessions = testing::labelled_sessions(8);
};

TEST_F(FullTrainingTest, SftLearnsAndResumesExactly) {
  const SftOptions options{.epochs = 8,
                           .sessions_per_step = 2,
                           .optimizer = {.lr = 5e-3},
                           .loop = {.verify_tree = "always", .checkpoint_every = 2}};
  expect_exact_resume([&](const TrainerSetup& setup, FullWeights& weights) {
    train_sft(setup, sessions, {}, options, weights);
  });
  const auto metrics = lines_of(directory.path / "once/metrics.jsonl");
  EXPECT_LT(metrics.back()["loss"].get<double>(), 0.5 * metrics.front()["loss"].get<double>());
}

TEST_F(FullTrainingTest, GrpoLearnsAndResumesExactly) {
  auto options = small_options<GrpoOptions>(12);
  options.loss.kl_weight = 0.01;
  options.loop.verify_tree = "always";
  expect_exact_resume([&](const TrainerSetup& setup, FullWeights& weights) {
    train_grpo(setup, sessions, {}, testing::reward_low_bytes, options, weights);
  });
  const auto metrics = lines_of(directory.path / "once/metrics.jsonl");
  EXPECT_GT(metrics.back()["reward"].get<double>(), metrics.front()["reward"].get<double>() + 0.1);
  EXPECT_GT(metrics.back()["kl"].get<double>(), 0);  // from the start, which has not moved
}

TEST_F(FullTrainingTest, DpoResumesExactly) {
  const auto options = small_options<DpoOptions>(6);
  expect_exact_resume([&](const TrainerSetup& setup, FullWeights& weights) {
    train_dpo(setup, sessions, {}, testing::reward_low_bytes, options, weights);
  });
}

}  // namespace
}  // namespace l2a
