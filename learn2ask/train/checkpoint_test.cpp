#include "train/checkpoint.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "base/file.h"
#include "base/testing.h"
#include "train/testing.h"

namespace l2a {
namespace {

using testing::TinyChat;

class CheckpointTest : public ::testing::Test {
 protected:
  CheckpointTest()
      : adapter(testing::tiny_adapter(tiny)), optimizer(adapter.parameters(), OptimizerOptions{}) {
    for (const int64_t step : {2, 4, 6, 10}) {
      {
        const at::NoGradGuard no_grad;
        for (const auto& p : adapter.parameters()) p.add_(static_cast<double>(step));
      }
      save_checkpoint(directory.path, step, adapter, optimizer, {{"step", step}}, "tiny");
    }
  }

  std::vector<std::string> notes;
  std::optional<FoundCheckpoint> find() {
    return find_newest_checkpoint(directory.path,
                                  [this](const std::string& note) { notes.push_back(note); });
  }
  void spoil(const std::string& file) {
    const auto path = directory.path / "step-10" / file;
    auto bytes = read_file(path);
    bytes[bytes.size() / 2] ^= 1;
    write_file_atomic(path, bytes);
  }

  const testing::TemporaryDirectory directory;
  const TinyChat tiny;
  LoraAdapter adapter;
  AdamW optimizer;
};

TEST_F(CheckpointTest, TheNewestIsFoundByNumber) {
  EXPECT_EQ(list_checkpoints(directory.path), (std::vector<int64_t>{2, 4, 6, 10}));
  ASSERT_TRUE(find());
  EXPECT_EQ(find()->state["step"], 10);
  EXPECT_TRUE(notes.empty());
}

TEST_F(CheckpointTest, LoadingRestoresTheAdapter) {
  auto other = testing::tiny_adapter(tiny, 99);
  AdamW fresh(other.parameters(), {});
  load_checkpoint(find()->path, other, fresh);
  EXPECT_TRUE(testing::flat(other).equal(testing::flat(adapter)));
}

TEST_F(CheckpointTest, OneFlippedBitInAnyFileMeansTheOneBefore) {
  for (const char* file : {"adapter_model.safetensors", "adapter_config.json",
                           "optimizer.safetensors", "state.json", "SHA256SUMS"}) {
    notes.clear();
    spoil(file);
    const auto found = find();
    ASSERT_TRUE(found) << file;
    EXPECT_EQ(found->state["step"], 6) << file;
    ASSERT_EQ(notes.size(), 1u);
    save_checkpoint(directory.path, 10, adapter, optimizer, {{"step", 10}}, "tiny");
  }
  spoil("optimizer.safetensors");
  notes.clear();
  find();
  EXPECT_EQ(notes[0], "checkpoint: " + (directory.path / "step-10").string() +
                          ": optimizer.safetensors: checksum does not match (passed over: the "
                          "checkpoint before it is used)");
}

TEST_F(CheckpointTest, AMissingOrCutFileMeansTheOneBefore) {
  std::filesystem::remove(directory.path / "step-10" / "state.json");
  EXPECT_EQ(find()->state["step"], 6);
  std::filesystem::resize_file(directory.path / "step-6" / "SHA256SUMS", 100);
  EXPECT_EQ(find()->state["step"], 4);
  std::filesystem::resize_file(directory.path / "step-4" / "adapter_model.safetensors", 100);
  EXPECT_EQ(find()->state["step"], 2);
}

TEST_F(CheckpointTest, WhereNoneIsSoundNothingIsBegunAnew) {
  for (const char* step : {"step-2", "step-4", "step-6", "step-10"}) {
    std::filesystem::resize_file(directory.path / step / "adapter_model.safetensors", 100);
  }
  EXPECT_EQ(failure_of([&] { find(); }),
            "checkpoint: " + (directory.path / "step-10").string() +
                ": adapter_model.safetensors: checksum does not match: and there is no sound one "
                "before it (start in another run directory, or move this one away)");
  EXPECT_TRUE(notes.empty());
}

TEST_F(CheckpointTest, AHalfWrittenOneIsNeverSeen) {
  std::filesystem::rename(directory.path / "step-10", directory.path / ".partial");
  EXPECT_EQ(find()->state["step"], 6);
  save_checkpoint(directory.path, 12, adapter, optimizer, {{"step", 12}}, "tiny");
  EXPECT_EQ(find()->state["step"], 12);
}

TEST_F(CheckpointTest, PruningKeepsTheNewestAndTheBest) {
  prune_checkpoints(directory.path, 10, 2, 2);
  EXPECT_EQ(list_checkpoints(directory.path), (std::vector<int64_t>{2, 6, 10}));
  prune_checkpoints(directory.path, 10, 2, std::nullopt);
  EXPECT_EQ(list_checkpoints(directory.path), (std::vector<int64_t>{6, 10}));
}

// A run that goes on from step 6 since step 10 is broken.
TEST_F(CheckpointTest, PruningDoesNotCountWhatTheRunHasYetToReach) {
  prune_checkpoints(directory.path, 6, 2, std::nullopt);
  EXPECT_EQ(list_checkpoints(directory.path), (std::vector<int64_t>{4, 6, 10}));
}

TEST(FindNewestCheckpoint, IsNothingInAnEmptyOrMissingDirectory) {
  const testing::TemporaryDirectory directory;
  EXPECT_FALSE(find_newest_checkpoint(directory.path, [](const std::string&) {}));
  EXPECT_FALSE(find_newest_checkpoint(directory.path / "none", [](const std::string&) {}));
}

}  // namespace
}  // namespace l2a
