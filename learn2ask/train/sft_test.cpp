#include "train/sft.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/file.h"
#include "base/testing.h"
#include "hindsight/testing.h"
#include "train/checkpoint.h"
#include "train/testing.h"
#include "weights/safetensors.h"

namespace l2a {
namespace {

namespace fs = std::filesystem;
using testing::TinyChat;

std::string text_of(const TinyChat& tiny, const TrainingRow& row) {
  return tiny.tokenizer.decode(std::span(row.ids).subspan(static_cast<size_t>(row.context)));
}

// The sum over target tokens of -log p, each row by itself, in double.
double literal_nll(const TinyChat& tiny, const LoraAdapter& adapter, const TrainingRow& row) {
  const at::NoGradGuard no_grad;
  const std::vector<std::vector<int32_t>> alone = {row.ids};
  const auto logits_nv = tiny.model.logits(tiny.model.hidden(build_token_tree(alone), &adapter));
  const auto log_p_nv = at::log_softmax(logits_nv.to(at::kDouble), 1);
  double nll = 0;
  for (int64_t t = row.context; t < static_cast<int64_t>(row.ids.size()); ++t) {
    nll -= log_p_nv[t - 1][row.ids[static_cast<size_t>(t)]].item<double>();
  }
  return nll;
}

class SftTest : public ::testing::Test {
 protected:
  SftRows rows_of(const std::vector<LabelledSession>& sessions, const SftOptions& options = {}) {
    SftRows rows;
    for (const auto& s : sessions) append_sft_rows(s, setup, options, rows);
    return rows;
  }
  const testing::TemporaryDirectory directory;
  const TinyChat tiny;
  TrainerSetup setup = testing::tiny_setup(tiny, directory.path);
};

TEST_F(SftTest, TargetsAreAskingTurnsAndTheStop) {
  auto session = testing::labelled_session("s", {"hi", "hello", "hot", "since?", "now", "bye"});
  session.samples[0].kind = {TurnKind::kInform, "test"};
  const auto rows = rows_of({session});
  ASSERT_EQ(rows.rows.size(), 2u);
  EXPECT_EQ(text_of(tiny, rows.rows[0]), "since?<|im_end|>");
  EXPECT_EQ(text_of(tiny, rows.rows[1]), "<stop /><|im_end|>");
  EXPECT_EQ(rows_of({session}, {.turns = {.train_inform = true}}).rows.size(), 3u);
  setup.format = ReplyFormat::kTuple;
  EXPECT_EQ(text_of(tiny, rows_of({session}).rows[0]),
            "{\"state\":\"continue\",\"ask\":\"since?\"}<|im_end|>");
}

TEST_F(SftTest, AskingTurnsWithoutAQuestionAreNoTargets) {
  const auto session =
      testing::labelled_session("s", {"hi", "Restart it.", "done", "Does it work?", "yes", "bye"});
  EXPECT_EQ(rows_of({session}).rows.size(), 3u);  // nothing tells them apart
  setup.forms = &shipped_forms();
  EXPECT_EQ(rows_of({session}).rows.size(), 2u);
  EXPECT_EQ(text_of(tiny, rows_of({session}).rows[0]), "Does it work?<|im_end|>");
  EXPECT_EQ(rows_of({session}, {.turns = {.train_without_question = true}}).rows.size(), 3u);
}

TEST_F(SftTest, AllTokensAreTargetsOnce) {
  const auto session = testing::labelled_session(
      "s", {"hot", "since?", "two days", "fever?", "no", "cough?", "a bit", "bye"});
  for (const ReplyFormat format : {ReplyFormat::kPlain, ReplyFormat::kTuple}) {
    setup.format = format;
    const auto rows = rows_of({session}, {.targets = "all"}).rows;
    ASSERT_EQ(rows.size(), 4u);
    int64_t targets = 0;
    for (const TrainingRow& row : rows) targets += row.targets();
    EXPECT_EQ(targets, plan_trees(rows, 100000).tokens - 1);
    if (format == ReplyFormat::kTuple)
      continue;  // replies are not what the transcript goes on with
    std::vector<int32_t> learned = {rows[0].ids[0]};
    for (const TrainingRow& row : rows) {
      learned.insert(learned.end(), row.ids.begin() + row.context, row.ids.end());
    }
    EXPECT_EQ(learned, rows.back().ids);
  }
}

TEST_F(SftTest, CutsTheOldestTurnsWhenAskedTo) {
  const std::string words(130, 'x');
  const auto session =
      testing::labelled_session("s", {words, "b?", words, "d?", words, "f?", words, "h"});
  EXPECT_THAT(failure_of([&] { rows_of({session}); }), ::testing::HasSubstr("train sft: s/7: "));
  setup.window = tiny.window(true);
  const auto rows = rows_of({session});
  ASSERT_EQ(rows.rows.size(), 4u);
  EXPECT_EQ(rows.contexts_cut, 1u);
  EXPECT_LE(rows.rows[3].ids.size(), 512u);
  EXPECT_EQ(text_of(tiny, rows.rows[3]), "<stop /><|im_end|>");
}

TEST_F(SftTest, UnlabelledAndCensoredSamplesAreNoTargets) {
  auto session = testing::labelled_session("s", {"a", "b?", "c", "d?", "e", "f"});
  session.samples[0].wanted.reset();
  session.samples[2].decision.reset();
  const auto rows = rows_of({session});
  ASSERT_EQ(rows.rows.size(), 1u);
  EXPECT_EQ(text_of(tiny, rows.rows[0]), "d?<|im_end|>");
}

TEST_F(SftTest, AskingTargetsStandInTheTrunk) {
  const auto session = testing::labelled_session("s", {"a", "b?", "c", "d?", "e", "f"});
  const auto rows = rows_of({session});
  const auto tree = make_row_tree(rows.rows, {0, 1, 2});
  // All of it is the last row: its transcript and the stop.
  EXPECT_EQ(tree.tree.tokens(), static_cast<int64_t>(rows.rows.back().ids.size()));
}

TEST_F(SftTest, MeanNllEqualsThatOfRowsOneByOne) {
  const auto adapter = testing::tiny_adapter(tiny);
  const SftOptions options{.weights = {.on_stop = 3, .on_continue = 0.5}};
  const auto rows = rows_of(testing::labelled_sessions(5), options);
  double nll = 0, count = 0;
  for (size_t r = 0; r < rows.rows.size(); ++r) {
    nll += rows.weights[r] * literal_nll(tiny, adapter, rows.rows[r]);
    count += rows.weights[r] * static_cast<double>(rows.rows[r].targets());
  }
  for (const int64_t budget : {1, 100, 100000}) {
    EXPECT_NEAR(mean_nll(tiny.model, &adapter, rows, budget), nll / count, 2e-5);
  }
}

TEST_F(SftTest, OneTreeOrManyAccumulatedTakeTheSameStep) {
  const auto sessions = testing::labelled_sessions(8);
  std::vector<at::Tensor> results;
  for (const int64_t budget : {1, 100000}) {
    setup.directory = directory.path / std::to_string(budget);
    auto adapter = testing::tiny_adapter(tiny);
    // Plain Adam would divide rounding by itself where a gradient is almost 0: epsilon is large.
    const SftOptions options{.epochs = 1,
                             .optimizer = {.lr = 0.01, .epsilon = 0.01, .warmup_steps = 0},
                             .loop = {.token_budget = budget}};
    EXPECT_EQ(train_sft(setup, sessions, {}, options, adapter).steps, 1);
    results.push_back(testing::flat(adapter));
  }
  EXPECT_LT((results[0] - results[1]).abs().max().item<double>(), 1e-6);
  EXPECT_GT((results[0] - testing::flat(testing::tiny_adapter(tiny))).abs().max().item<double>(),
            1e-3);
}

TEST_F(SftTest, LearnsWhatTheExpertSays) {
  const auto sessions = testing::labelled_sessions(6);
  auto adapter = testing::tiny_adapter(tiny);
  const auto rows = rows_of(sessions);
  const double before = mean_nll(tiny.model, &adapter, rows, 1000);
  train_sft(setup, sessions, {}, {.epochs = 20, .optimizer = {.lr = 0.01}}, adapter);
  EXPECT_LT(mean_nll(tiny.model, &adapter, rows, 1000), 0.6 * before);
}

TEST_F(SftTest, KeepsTheCheckpointThatIsBestOnHeldOutSessions) {
  // Trained on one thing and held out on another: it gets worse after a while.
  const auto sessions = testing::labelled_sessions(4, 1),
             held_out = testing::labelled_sessions(4, 2);
  auto adapter = testing::tiny_adapter(tiny);
  const SftOptions options{.epochs = 200,
                           .sessions_per_step = 4,
                           .optimizer = {.lr = 0.02, .schedule = "constant"},
                           .loop = {.evaluate_every = 5, .patience = 3}};
  const auto result = train_sft(setup, sessions, held_out, options, adapter);
  EXPECT_EQ(result.stopped_by, "patience");
  EXPECT_LT(result.steps, 200);
  ASSERT_TRUE(result.held_out_score);
  EXPECT_EQ(result.checkpoint,
            checkpoint_path(directory.path / "checkpoints", result.steps - 3 * 5));
  EXPECT_NEAR(mean_nll(tiny.model, &adapter, rows_of(held_out), 1000), -*result.held_out_score,
              1e-6);
}

TEST_F(SftTest, RefusesAnotherConfigurationInTheSameDirectory) {
  auto adapter = testing::tiny_adapter(tiny);
  const auto sessions = testing::labelled_sessions(2);
  train_sft(setup, sessions, {}, {.epochs = 1}, adapter);
  setup.config_sha256 = "other";
  try {
    train_sft(setup, sessions, {}, {.epochs = 1}, adapter);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error.message, "run: " + directory.path.string() +
                                         ": was started with another configuration (use another "
                                         "run directory, or the same configuration)");
  }
}

TEST_F(SftTest, StopsAtALossThatIsNotFinite) {
  auto adapter = testing::tiny_adapter(tiny);
  const auto sessions = testing::labelled_sessions(4);
  const SftOptions options{.epochs = 50, .sessions_per_step = 2, .loop = {.checkpoint_every = 1}};
  setup.events.step = [&](int64_t step, int64_t, const Json&) {
    const at::NoGradGuard no_grad;
    if (step == 3) adapter.pairs()[4].b_or.fill_(std::nanf(""));
  };
  try {
    train_sft(setup, sessions, {}, options, adapter);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error.message,
              "train: step 4: loss: not finite: the run is stopped; the last good checkpoint is " +
                  (directory.path / "checkpoints/step-3").string() +
                  "; weights and gradients are in " +
                  (directory.path / "evidence/step-4").string() + " (try a lower lr)");
  }
  const fs::path evidence = directory.path / "evidence/step-4";
  EXPECT_TRUE(fs::exists(evidence / "adapter_model.safetensors"));
  EXPECT_FALSE(SafetensorsFile::open(evidence / "gradients.safetensors").tensors().empty());
  EXPECT_EQ(testing::lines_of(directory.path / "metrics.jsonl").size(), 3u);
}

TEST_F(SftTest, StopsAtAHeldOutScoreThatIsNotFinite) {
  auto adapter = testing::tiny_adapter(tiny);
  const SftOptions options{
      .epochs = 3, .optimizer = {.lr = 1e30, .warmup_steps = 0}, .loop = {.evaluate_every = 1}};
  const auto said = failure_of([&] {
    train_sft(setup, testing::labelled_sessions(4), testing::labelled_sessions(2, 9), options,
              adapter);
  });
  EXPECT_EQ(said,
            "train: step 1: held-out score: not finite: the run is stopped; there is no "
            "checkpoint yet; weights and gradients are in " +
                (directory.path / "evidence/step-1").string() + " (try a lower lr)");
}

TEST_F(SftTest, RefusesABestCheckpointThatIsBroken) {
  auto adapter = testing::tiny_adapter(tiny);
  const SftOptions options{.epochs = 200,
                           .sessions_per_step = 4,
                           .optimizer = {.lr = 0.02, .schedule = "constant"},
                           .loop = {.evaluate_every = 5, .patience = 1}};
  const auto sessions = testing::labelled_sessions(4, 1),
             held_out = testing::labelled_sessions(4, 2);
  const auto result = train_sft(setup, sessions, held_out, options, adapter);
  ASSERT_NE(result.checkpoint.filename(), "step-" + std::to_string(result.steps));
  auto bytes = read_file(result.checkpoint / "adapter_model.safetensors");
  bytes[bytes.size() / 2] ^= 1;
  write_file_atomic(result.checkpoint / "adapter_model.safetensors", bytes);
  EXPECT_EQ(failure_of([&] { train_sft(setup, sessions, held_out, options, adapter); }),
            "checkpoint: " + result.checkpoint.string() +
                ": adapter_model.safetensors: checksum does not match (it is the best by held-out "
                "score; the last one is step-" +
                std::to_string(result.steps) + ")");
}

TEST_F(SftTest, SaysThatALossIsNotFiniteWhereNothingCanBeWritten) {
  auto adapter = testing::tiny_adapter(tiny);
  {
    const at::NoGradGuard no_grad;
    adapter.pairs()[4].b_or.fill_(std::nanf(""));
  }
  write_file_atomic(directory.path / "evidence", "in the way");
  const auto said =
      failure_of([&] { train_sft(setup, testing::labelled_sessions(4), {}, {}, adapter); });
  EXPECT_THAT(said, ::testing::StartsWith("train: step 1: loss: not finite: the run is stopped; "
                                          "there is no checkpoint yet; weights and gradients could "
                                          "not be kept: "));
}

TEST_F(SftTest, KeepsTheAverageOfTheWeights) {
  const auto sessions = testing::labelled_sessions(4), held_out = testing::labelled_sessions(2, 9);
  SftOptions options{.epochs = 4, .sessions_per_step = 2, .loop = {.evaluate_every = 1}};
  options.optimizer.average_decay = 0.9;
  auto adapter = testing::tiny_adapter(tiny);
  const auto result = train_sft(setup, sessions, held_out, options, adapter);
  SftRows rows = rows_of(held_out);
  EXPECT_NEAR(-mean_nll(tiny.model, &adapter, rows, 4096), result.held_out_score.value(), 1e-6);
  const auto weights = LoraAdapter::load(result.checkpoint, tiny.config());
  EXPECT_FALSE(testing::flat(weights).equal(testing::flat(adapter)));
}

TEST_F(SftTest, ABrokenBestCheckpointShowsBeforeAnotherStepIsTaken) {
  const auto sessions = testing::labelled_sessions(4, 1),
             held_out = testing::labelled_sessions(4, 2);
  const SftOptions options{.epochs = 200,
                           .sessions_per_step = 4,
                           .optimizer = {.lr = 0.02, .schedule = "constant"},
                           .loop = {.evaluate_every = 5}};
  struct Killed {};
  double best = -1e9;
  std::string best_step;
  auto adapter = testing::tiny_adapter(tiny);
  setup.events.step = [&](int64_t step, int64_t, const Json& metrics) {
    if (!metrics.contains("held_out")) return;
    if (metrics["held_out"] < best) throw Killed();
    best = metrics["held_out"];
    best_step = "step-" + std::to_string(step);
  };
  EXPECT_THROW(train_sft(setup, sessions, held_out, options, adapter), Killed);
  std::filesystem::resize_file(directory.path / "checkpoints" / best_step / "optimizer.safetensors",
                               100);
  setup.events.step = [](int64_t, int64_t, const Json&) { FAIL(); };
  EXPECT_THAT(
      failure_of([&] { train_sft(setup, sessions, held_out, options, adapter); }),
      ::testing::HasSubstr(best_step + ": optimizer.safetensors: checksum does not match (it "
                                       "is the best by held-out score; the last one is step-"));
}

TEST_F(SftTest, RefusesHeldOutSessionsAndPatienceWithoutAScore) {
  auto adapter = testing::tiny_adapter(tiny);
  const auto sessions = testing::labelled_sessions(1);
  auto none_labelled = sessions;
  none_labelled[0].samples.clear();
  EXPECT_EQ(
      failure_of([&] { train_sft(setup, sessions, none_labelled, {}, adapter); }),
      "train: --dev: no sample is trained on, so nothing gives a score (give others, or none)");
  EXPECT_EQ(failure_of([&] { train_sft(setup, sessions, {}, {.loop = {.patience = 2}}, adapter); }),
            "train: patience: nothing is scored without --dev (give it, or leave patience out)");
  EXPECT_FALSE(std::filesystem::exists(directory.path / "checkpoints"));
}

TEST_F(SftTest, RefusesDataWithoutTargets) {
  auto adapter = testing::tiny_adapter(tiny);
  auto sessions = testing::labelled_sessions(1);
  sessions[0].samples.clear();
  try {
    train_sft(setup, sessions, {}, {}, adapter);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error.message,
              "train sft: sessions: none has a labelled asking turn or stop that has weight");
  }
}

TEST_F(SftTest, TargetsWithoutWeightAreNeitherTrainedOnNorEvaluated) {
  const std::vector only_stop = {testing::labelled_session("stop", {"a", "b"})};
  auto sessions = testing::labelled_sessions(3);
  sessions.push_back(only_stop.front());
  SftOptions options{.epochs = 1, .sessions_per_step = 1};
  options.weights.on_stop = 0;
  auto adapter = testing::tiny_adapter(tiny);
  EXPECT_EQ(train_sft(setup, sessions, {}, options, adapter).steps, 3);
  EXPECT_THAT(failure_of([&] { train_sft(setup, sessions, only_stop, options, adapter); }),
              ::testing::StartsWith("train: --dev: no sample is trained on"));
  EXPECT_EQ(failure_of([&] { train_sft(setup, only_stop, {}, options, adapter); }),
            "train sft: sessions: none has a labelled asking turn or stop that has weight");
}

}  // namespace
}  // namespace l2a
